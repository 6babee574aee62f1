//! What runs in the container, and as whom: `command`, `user`, `restart`, security.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::units;
use crate::words;
use crate::yaml::{Node, Value};

impl<'p> Service<'_, 'p, '_> {
    pub(super) fn process(&mut self) {
        for key in ["entrypoint", "command"] {
            if let Some(node) = self.get(key)
                && let Some(arguments) = self.arguments_of(key, node)
            {
                self.set(key, arguments, node, key);
            }
        }
        for key in ["working_dir", "user", "hostname"] {
            if let Some(node) = self.get(key)
                && let Some(text) = node.text().filter(|text| !text.is_empty())
            {
                self.set(key, Toml::text(text), node, key);
            }
        }
        if let Some(node) = self.get("container_name") {
            let name = self.name().to_owned();
            if node.text() != Some(&name) && self.shared.adoption.is_none() {
                let message =
                    format!("the container is `{name}` of its app; the engine's name for it is made of both");
                self.note(node.place, "container_name", message);
            }
        }
    }

    /// A command as a list. A string is split into words: Compose gives it to no shell.
    fn arguments_of(&mut self, key: &str, node: &Node) -> Option<Toml> {
        match &node.value {
            Value::List(items) => {
                Some(Toml::texts(items.iter().filter_map(|item| item.text().map(str::to_owned))))
            }
            Value::Scalar(text) => {
                let words = words::split(text);
                if words.is_none() {
                    self.lost(node.place, key, "a quote is not closed in it");
                }
                words.map(Toml::texts)
            }
            _ => None,
        }
    }

    /// When it is started again. Compose's default is never, a spec's is always.
    pub(super) fn restart(&mut self) {
        let (node, policy) = match self.get("restart") {
            Some(node) => (Some(node), node.text().unwrap_or_default().to_owned()),
            None => self.deploy_restart(),
        };
        let (word, attempts) = policy.split_once(':').unwrap_or((&policy, ""));
        if let (false, Some(node)) = (attempts.is_empty(), node) {
            self.lost(node.place, "restart", "restarts are not counted; they come at growing intervals");
        }
        match word {
            "unless-stopped" => {
                self.container.set_with("restart", Toml::text("always"), "\"unless-stopped\" in Compose");
            }
            "always" | "any" => self.container.set("restart", Toml::text("always")),
            "on-failure" => self.container.set("restart", Toml::text("on-failure")),
            _ => self.container.set("restart", Toml::text("no")),
        }
        for (key, unit) in [("stop_signal", "signal"), ("stop_grace_period", "grace")] {
            self.stop(key, unit);
        }
    }

    fn deploy_restart(&mut self) -> (Option<&'p Node>, String) {
        let Some(policy) = self.get("deploy").and_then(|deploy| deploy.get("restart_policy")) else {
            return (None, String::new());
        };
        for (key, value) in policy.entries().iter().filter(|(key, _)| key != "condition") {
            self.lost(
                value.place,
                &format!("deploy.restart_policy.{key}"),
                "restarts come at growing intervals, and are not counted",
            );
        }
        let condition = policy.get("condition").and_then(Node::text).unwrap_or("any");
        (Some(policy), condition.to_owned())
    }

    fn stop(&mut self, key: &str, unit: &str) {
        let Some(node) = self.get(key) else { return };
        let text = node.text().unwrap_or_default();
        let value = if unit == "grace" { units::duration(text) } else { Some(text.to_owned()) };
        let Some(value) = value else {
            self.lost(node.place, key, format!("{text:?} is no duration"));
            return;
        };
        let one = vec![(unit.to_owned(), Toml::text(value))];
        if let Err(message) = check::container("stop", &Toml::Table(one.clone())) {
            self.lost(node.place, key, message);
            return;
        }
        let mut all = match self.container.get("stop") {
            Some(Toml::Table(entries)) => entries.clone(),
            _ => Vec::new(),
        };
        all.extend(one);
        self.container.remove("stop");
        self.container.set("stop", Toml::Table(all));
    }

    pub(super) fn security(&mut self) {
        for key in ["read_only", "tty", "stdin_open", "init"] {
            if self.get(key).is_some_and(Node::is_true) {
                self.container.set(key, Toml::truth(true));
            }
        }
        for option in self.get("security_opt").map_or(&[][..], Node::items) {
            match option.text().unwrap_or_default() {
                "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                    if self.container.get("no_new_privileges").is_none() {
                        self.container.set("no_new_privileges", Toml::truth(true));
                    }
                }
                "no-new-privileges:false" | "no-new-privileges=false" => {}
                "seccomp:unconfined" | "seccomp=unconfined" => self.unconfine("seccomp"),
                "systempaths:unconfined" | "systempaths=unconfined" => self.unconfine("system_paths"),
                other => {
                    let message = format!(
                        "`{}` has no counterpart in a spec",
                        other.chars().take(60).collect::<String>()
                    );
                    self.lost(option.place, "security_opt", message);
                }
            }
        }
        let added = self.capabilities("cap_add", &[]);
        self.capabilities("cap_drop", &added);
    }

    fn unconfine(&mut self, key: &str) {
        if self.container.get(key).is_none() {
            self.container.set(key, Toml::text("unconfined"));
        }
    }

    /// Sets a list of capabilities, without those that are named already.
    fn capabilities(&mut self, key: &str, except: &[String]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for item in self.get(key).map_or(&[][..], Node::items) {
            let name = item.text().unwrap_or_default().to_ascii_uppercase();
            let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
            if except.contains(&name) {
                self.note(item.place, key, format!("`{name}` is added too, which is what counts"));
            } else if let Err(message) = check::container(key, &Toml::texts([name.clone()])) {
                self.lost(item.place, key, message);
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            self.container.set(key, Toml::texts(names.clone()));
        }
        names
    }
}
