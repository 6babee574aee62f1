//! What a spec does not say.

use super::Service;

/// Keys that the other files of this folder take.
const TAKEN: [&str; 50] = [
    "devices",
    "image",
    "build",
    "entrypoint",
    "command",
    "working_dir",
    "user",
    "hostname",
    "container_name",
    "restart",
    "deploy",
    "stop_signal",
    "stop_grace_period",
    "read_only",
    "tty",
    "stdin_open",
    "security_opt",
    "cap_add",
    "cap_drop",
    "environment",
    "env_file",
    "ports",
    "volumes",
    "secrets",
    "configs",
    "tmpfs",
    "healthcheck",
    "depends_on",
    "links",
    "mem_limit",
    "cpus",
    "pids_limit",
    "logging",
    "labels",
    "networks",
    "network_mode",
    "profiles",
    "scale",
    "extends",
    "group_add",
    "ulimits",
    "sysctls",
    "shm_size",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "init",
    "version",
    "name",
];

/// Keys that do nothing to a container that runs under a spec, whatever they say.
const WITHOUT_EFFECT: [&str; 2] = ["expose", "attach"];

/// Keys with what to tell of them; of the others there is nothing more to say than that they have no counterpart.
const REASONS: [(&str, &str); 10] = [
    ("privileged", "no container of a spec has all rights of the host; `cap_add` gives single ones"),
    ("gpus", "devices of the host cannot be given to a container"),
    ("device_cgroup_rules", "devices of the host cannot be given to a container"),
    ("pid", "a container has process ids of its own"),
    ("ipc", "a container has shared memory of its own"),
    ("volumes_from", "mounts are written with each container"),
    ("platform", "images are those of the host's architecture"),
    ("pull_policy", "an image is pulled when it is not there; `pull` of the container says otherwise"),
    ("develop", "a spec has no watch mode"),
    ("external_links", "containers of other apps have no names here"),
];

impl Service<'_, '_, '_> {
    pub(super) fn unsupported(&mut self) {
        let node = self.node;
        for (key, value) in node.entries() {
            let known = TAKEN.contains(&key.as_str()) || WITHOUT_EFFECT.contains(&key.as_str());
            if known || key.starts_with("x-") || value.is_empty() {
                continue;
            }
            let reason = REASONS.iter().find(|(name, _)| name == key).map(|(_, reason)| *reason);
            self.lost(value.place, key, reason.unwrap_or("a spec has nothing like this"));
        }
        if let Some(scale) = self.get("scale").filter(|scale| !matches!(scale.text(), Some("0" | "1"))) {
            self.lost(scale.place, "scale", "a container of a spec is one; there is one here");
        }
    }
}
