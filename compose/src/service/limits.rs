//! Limits (`deploy.resources.limits`, `mem_limit`, `cpus`, `pids_limit`) and `logging`.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::units;
use crate::yaml::Node;

/// The keys of a limit under `deploy.resources.limits` and of its own, with that of a spec.
const LIMITS: [(&str, &str, &str); 3] =
    [("memory", "mem_limit", "memory"), ("cpus", "cpus", "cpus"), ("pids", "pids_limit", "pids")];

impl Service<'_, '_, '_> {
    pub(super) fn limits(&mut self) {
        let deploy = self.get("deploy");
        let limits =
            deploy.and_then(|deploy| deploy.get("resources")).and_then(|resources| resources.get("limits"));
        let mut table = Vec::new();
        for (within, own, key) in LIMITS {
            let of_deploy = limits
                .and_then(|limits| limits.get(within))
                .map(|node| (node, format!("deploy.resources.limits.{within}")));
            let Some((node, path)) = of_deploy.or_else(|| self.get(own).map(|node| (node, own.to_owned())))
            else {
                continue;
            };
            let text = node.text().unwrap_or_default();
            if matches!(text, "" | "0" | "-1") {
                continue;
            }
            let value = match key {
                "memory" => units::memory(text).map(Toml::text),
                "cpus" => text
                    .parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite())
                    .map(|number| Toml::Bare(number.to_string())),
                _ => text.parse::<u32>().ok().map(|number| Toml::Bare(number.to_string())),
            };
            let checked = value.ok_or_else(|| format!("{text:?} is no such limit")).and_then(|value| {
                check::container("resources", &Toml::Table(vec![(key.to_owned(), value.clone())]))
                    .map(|()| value)
            });
            match checked {
                Ok(value) => table.push((key.to_owned(), value)),
                Err(message) => {
                    self.lost(node.place, &path, message);
                }
            }
        }
        if !table.is_empty() {
            self.container.set("resources", Toml::Table(table));
        }
        self.deploy();
        self.logging();
    }

    /// What else is in `deploy`.
    fn deploy(&mut self) {
        let Some(deploy) = self.get("deploy") else { return };
        for (key, value) in deploy.entries().iter().filter(|(_, value)| !value.is_empty()) {
            let path = format!("deploy.{key}");
            match key.as_str() {
                "restart_policy" => {}
                "replicas" if matches!(value.text(), Some("0" | "1")) => {}
                "replicas" => {
                    self.lost(value.place, &path, "a container of a spec is one; there is one here")
                        .hint("declare further ones under names of their own");
                }
                "resources" => self.deploy_resources(value),
                "placement" | "update_config" | "rollback_config" | "endpoint_mode" | "mode" | "labels" => {
                    self.note(value.place, &path, "it is for Swarm, and has no effect under Compose either");
                }
                _ => {
                    self.lost(value.place, &path, "a spec has nothing like this");
                }
            }
        }
    }

    fn deploy_resources(&mut self, resources: &Node) {
        for (kind, value) in resources.entries() {
            for (key, value) in value.entries() {
                if kind != "limits" || !matches!(key.as_str(), "memory" | "cpus" | "pids") {
                    let message = if key == "devices" {
                        "devices of the host cannot be given to a container"
                    } else {
                        "there are limits, and no reservations"
                    };
                    self.lost(value.place, &format!("deploy.resources.{kind}.{key}"), message);
                }
            }
        }
    }

    fn logging(&mut self) {
        let Some(logging) = self.get("logging") else { return };
        let driver = logging.get("driver").and_then(Node::text).unwrap_or("json-file");
        if !matches!(driver, "json-file" | "local") {
            let message = format!("homeostat keeps logs itself, and has no driver `{driver}`");
            self.lost(logging.place, "logging.driver", message).hint("see `homeostat logs`");
            return;
        }
        let mut table = Vec::new();
        for (option, value) in logging.get("options").map_or(&[][..], Node::entries) {
            let text = value.text().unwrap_or_default();
            let entry = match option.as_str() {
                "max-size" => units::log_size(text).map(|size| ("max_size", Toml::text(size))),
                "max-file" => {
                    text.parse::<u32>().ok().map(|number| ("max_files", Toml::Bare(number.to_string())))
                }
                _ => None,
            };
            let good = entry.filter(|(key, value)| {
                check::container("log", &Toml::Table(vec![((*key).to_owned(), value.clone())])).is_ok()
            });
            match good {
                Some((key, value)) => table.push((key.to_owned(), value)),
                None => {
                    self.lost(
                        value.place,
                        &format!("logging.options.{option}"),
                        "a log has `max_size` and `max_files` within bounds",
                    );
                }
            }
        }
        if !table.is_empty() {
            self.container.set("log", Toml::Table(table));
        }
    }
}
