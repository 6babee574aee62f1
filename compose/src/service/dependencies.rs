//! `depends_on` and `links`.

use super::{Service, disabled, health};
use crate::merge::as_map;
use crate::spec::Toml;
use crate::yaml::Node;

impl Service<'_, '_, '_> {
    pub(super) fn dependencies(&mut self) {
        let mut dependencies: Vec<(String, Toml)> = Vec::new();
        if let Some(node) = self.get("depends_on") {
            for (on, options) in as_map("depends_on", node.clone()).entries() {
                if let Some(dependency) = self.dependency(on, options) {
                    dependencies.push(dependency);
                }
            }
        }
        for item in self.get("links").map_or(&[][..], Node::items) {
            let text = item.text().unwrap_or_default();
            let (on, alias) = text.split_once(':').unwrap_or((text, text));
            if alias != on {
                self.lost(item.place, "links", format!("`{on}` has no second name `{alias}`"));
            }
            let known = self.shared.names.get(on).map(str::to_owned);
            if let Some(name) = known.filter(|name| dependencies.iter().all(|(other, _)| other != name)) {
                dependencies.extend(self.dependency(on, item).filter(|_| !name.is_empty()));
            }
        }
        if !dependencies.is_empty() {
            self.container.set("depends_on", Toml::Table(dependencies));
        }
        if self.is_one_shot() {
            self.container.set_with(
                "state",
                Toml::text("exited"),
                "a one-shot: others wait for it to complete",
            );
        }
    }

    /// Whether it runs to its end once: it is never restarted, and others wait for that end.
    fn is_one_shot(&self) -> bool {
        self.container.get("restart") == Some(&Toml::text("no"))
            && self.shared.project.part("services").iter().any(|(_, other)| {
                condition(other.get("depends_on").and_then(|on| on.get(self.original)))
                    == "service_completed_successfully"
            })
    }

    fn dependency(&mut self, on: &str, options: &Node) -> Option<(String, Toml)> {
        let key = format!("depends_on.{on}");
        let Some(target) = self.shared.project.get("services", on) else {
            self.lost(options.place, &key, "the file declares no such service");
            return None;
        };
        let name = self.shared.names.get(on)?.to_owned();
        if let Some(restart) = options.get("restart").filter(|restart| restart.is_true()) {
            self.lost(
                restart.place,
                &format!("{key}.restart"),
                "nothing is restarted because what it depends on was",
            );
        }
        if disabled(target).is_some() && !self.container.disabled {
            let message = "that container stands in the spec as a comment, so it is not waited for";
            if options.get("required").is_some_and(|required| !required.is_true()) {
                self.note(options.place, &key, message);
            } else {
                self.lost(options.place, &key, message);
            }
            return None;
        }
        let condition = match condition(Some(options)) {
            "service_healthy" if health::has_check(target) => "healthy",
            "service_healthy" => {
                self.lost(options.place, &key, format!("`{name}` has no health check in the file (one of the image is not used): it is waited for to be started"))
                    .hint(format!("add `health` to [container.{name}] and write `healthy`"));
                "started"
            }
            "service_completed_successfully" if restarts_always(target) => {
                self.lost(
                    options.place,
                    &key,
                    format!(
                        "`{name}` never completes, as it is always restarted: it is waited for to be started"
                    ),
                );
                "started"
            }
            "service_completed_successfully" => "completed",
            _ => "started",
        };
        Some((name, Toml::text(condition)))
    }
}

fn condition(options: Option<&Node>) -> &str {
    options.and_then(|options| options.get("condition")).and_then(Node::text).unwrap_or("service_started")
}

fn restarts_always(service: &Node) -> bool {
    let deploy = service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
    match (service.get("restart"), deploy) {
        (Some(restart), _) => matches!(restart.text(), Some("always" | "unless-stopped")),
        (None, Some(policy)) => {
            policy.get("condition").is_none_or(|condition| condition.text() == Some("any"))
        }
        (None, None) => false,
    }
}
