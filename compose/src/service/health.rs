//! `healthcheck`.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::units;
use crate::yaml::{Node, Value};

/// What Docker does where a Compose file does not say; homeostat's own defaults differ.
const DEFAULTS: [(&str, &str); 2] = [("interval", "30s"), ("timeout", "30s")];

/// Whether a service has a health check that a spec can have.
pub(crate) fn has_check(service: &Node) -> bool {
    service.get("healthcheck").is_some_and(|health| probe(health).is_some())
}

/// The command of a check; `None` when there is none or it is turned off.
fn probe(health: &Node) -> Option<Toml> {
    if health.get("disable").is_some_and(Node::is_true) {
        return None;
    }
    let test = health.get("test")?;
    let words: Vec<String> = match &test.value {
        Value::Scalar(line) => return (!line.is_empty()).then(|| Toml::text(line)),
        _ => test.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
    };
    match words.split_first()? {
        (kind, [line]) if kind == "CMD-SHELL" => Some(Toml::text(line)),
        (kind, rest) if kind == "CMD" && !rest.is_empty() => Some(Toml::texts(rest.to_vec())),
        _ => None,
    }
}

impl Service<'_, '_, '_> {
    pub(super) fn health(&mut self) {
        let Some(health) = self.get("healthcheck") else { return };
        let Some(command) = probe(health) else {
            self.no_probe(health);
            return;
        };
        let mut table = self.table("health");
        table.set("command", command.clone());
        for (key, default) in DEFAULTS {
            if health.get(key).is_none_or(Node::is_empty) {
                table.set(key, Toml::text(default));
            }
        }
        for (key, value) in health.entries().iter().filter(|(_, value)| !value.is_empty()) {
            let path = format!("healthcheck.{key}");
            match key.as_str() {
                "test" | "disable" => {}
                "interval" | "timeout" | "start_period" => {
                    let text = value.text().unwrap_or_default();
                    let duration = units::duration(text).map(Toml::text);
                    self.health_key(key, duration, value, &path, &command, &mut table);
                }
                "retries" => {
                    let number = value.text().and_then(|text| text.parse::<u32>().ok());
                    let number = number.map(|number| Toml::Bare(number.to_string()));
                    self.health_key(key, number, value, &path, &command, &mut table);
                }
                "start_interval" => {
                    self.note(value.place, &path, "during `start_period` it is probed every second");
                }
                _ => {
                    self.lost(value.place, &path, "a health check has nothing like this");
                }
            }
        }
        let one = Toml::Table(vec![("command".to_owned(), command)]);
        match check::container("health", &one) {
            Ok(()) => self.tables.push(table),
            Err(message) => {
                self.lost(health.place, "healthcheck", message);
            }
        }
    }

    fn no_probe(&mut self, health: &Node) {
        let off = health.get("disable").is_some_and(Node::is_true)
            || health
                .get("test")
                .is_some_and(|test| test.items().first().and_then(Node::text) == Some("NONE"));
        // A check of the image is not used in any case.
        if !off {
            self.lost(
                health.place,
                "healthcheck",
                "it has no command of its own; a check of the image is not used",
            )
            .hint("add `health` with the command that the image has");
        }
    }

    fn health_key(
        &mut self,
        key: &str,
        value: Option<Toml>,
        node: &Node,
        path: &str,
        command: &Toml,
        table: &mut crate::spec::Section,
    ) {
        let checked =
            value.ok_or_else(|| "it is no value that a health check can have".to_owned()).and_then(|value| {
                let all = vec![("command".to_owned(), command.clone()), (key.to_owned(), value.clone())];
                check::container("health", &Toml::Table(all)).map(|()| value)
            });
        match checked {
            Ok(value) => table.set(key, value),
            Err(message) => {
                self.lost(node.place, path, message);
            }
        }
    }
}
