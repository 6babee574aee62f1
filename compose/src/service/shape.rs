//! That a key has the kind of value that Compose gives it: the other files of this folder pass over what has not.

use super::Service;
use crate::yaml::Value;

const LISTS: [&str; 11] = [
    "devices",
    "group_add",
    "ports",
    "volumes",
    "cap_add",
    "cap_drop",
    "security_opt",
    "links",
    "secrets",
    "configs",
    "profiles",
];

const MAPS: [&str; 4] = ["deploy", "healthcheck", "logging", "ulimits"];

const TEXTS: [&str; 16] = [
    "shm_size",
    "image",
    "user",
    "working_dir",
    "hostname",
    "container_name",
    "restart",
    "stop_signal",
    "stop_grace_period",
    "read_only",
    "network_mode",
    "mem_limit",
    "cpus",
    "pids_limit",
    "scale",
    "platform",
];

impl Service<'_, '_, '_> {
    /// Reports every key whose value is of another kind.
    pub(super) fn shape(&mut self) {
        let node = self.node;
        for (key, value) in node.entries().iter().filter(|(_, value)| !value.is_empty()) {
            let key = key.as_str();
            let expected = match value.value {
                Value::Scalar(_) | Value::Map(_) if LISTS.contains(&key) => "a list",
                Value::Scalar(_) | Value::List(_) if MAPS.contains(&key) => "a mapping",
                Value::List(_) | Value::Map(_) if TEXTS.contains(&key) => "one value",
                Value::Map(_) if matches!(key, "command" | "entrypoint" | "tmpfs") => "text or a list",
                Value::Scalar(_)
                    if matches!(key, "environment" | "labels" | "depends_on" | "networks" | "sysctls") =>
                {
                    "a list or a mapping"
                }
                _ => continue,
            };
            self.lost(value.place, key, format!("it has to be {expected}"));
        }
        for key in ["command", "entrypoint"] {
            for item in
                self.get(key).map_or(&[][..], |node| node.items()).iter().filter(|item| item.text().is_none())
            {
                self.lost(item.place, key, "an item of it is no text");
            }
        }
    }
}
