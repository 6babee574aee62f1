//! What differs between a resource as declared and as it is, in the words of a spec.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{
    Container, ContainerConfig, LogRotation, Mount, MountSource, Network, NetworkMode, Protocol,
    PublishedPort, Resources,
};
use serde::Serialize;

use crate::{FieldChange, HIDDEN, ObservedContainer, ObservedImage};

/// What differs between a container as declared and as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Needs a new container.
    pub(crate) recreate: Vec<FieldChange>,
    /// Can be changed on the container that exists.
    pub(crate) update: Vec<FieldChange>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.recreate.is_empty() && self.update.is_empty()
    }
}

/// What differs. `reference` is that of the declared image.
pub(crate) fn container_changes(
    declared: &Container,
    reference: &str,
    actual: &ObservedContainer,
    images: &BTreeMap<String, ObservedImage>,
) -> Changes {
    let mut recreate = Comparison::default();
    recreate.image(reference, actual, images);
    recreate.config(&actual.config, &declared.config);
    let mut update = Comparison::default();
    update.resources(&actual.config.resources, &declared.config.resources);
    update.log(&actual.config.log, &declared.config.log);
    Changes { recreate: recreate.0, update: update.0 }
}

/// What differs in a network. A subnet that is not declared is the engine's choice, and labels are
/// not worth stopping the containers on the network for: they hold from its next creation on.
pub(crate) fn network_changes(name: &str, declared: &Network, actual: &Network) -> Vec<FieldChange> {
    let mut comparison = Comparison::default();
    if declared.subnet.is_some() {
        comparison.field(&format!("network.{name}.subnet"), &actual.subnet, &declared.subnet);
    }
    comparison.field(&format!("network.{name}.internal"), &Some(actual.internal), &Some(declared.internal));
    comparison.0
}

#[derive(Default)]
struct Comparison(Vec<FieldChange>);

impl Comparison {
    fn push(&mut self, field: &str, old: Option<String>, new: Option<String>) {
        self.0.push(FieldChange { field: field.to_owned(), old, new });
    }

    fn field<T: PartialEq + Serialize>(&mut self, field: &str, old: &Option<T>, new: &Option<T>) {
        if old != new {
            self.push(field, old.as_ref().map(rendered), new.as_ref().map(rendered));
        }
    }

    fn flag(&mut self, field: &str, old: bool, new: bool) {
        self.field(field, &Some(old), &Some(new));
    }

    /// By id, so that a build or pull that gives the same image changes nothing. A reference that is
    /// not here and that the container was created from tells nothing new.
    fn image(
        &mut self,
        reference: &str,
        actual: &ObservedContainer,
        images: &BTreeMap<String, ObservedImage>,
    ) {
        let differs = match images.get(reference) {
            Some(image) => image.id != actual.image_id,
            None => reference != actual.image,
        };
        if !differs {
            return;
        }
        let new_id = images.get(reference).map(|image| image.id.as_str());
        self.push(
            "image",
            Some(with_id(&actual.image, Some(&actual.image_id))),
            Some(with_id(reference, new_id)),
        );
    }

    /// Every field that needs a new container. A field that is added to the type does not compile
    /// until it is compared.
    fn config(&mut self, old: &ContainerConfig, new: &ContainerConfig) {
        let ContainerConfig {
            entrypoint,
            command,
            env,
            working_dir,
            user,
            hostname,
            labels,
            ports,
            mounts,
            network,
            resources: _,
            read_only,
            no_new_privileges,
            cap_add,
            cap_drop,
            log: _,
        } = new;
        self.field("entrypoint", &old.entrypoint, entrypoint);
        self.field("command", &old.command, command);
        self.map("env", &old.env, env, |_| HIDDEN.to_owned());
        self.field("working_dir", &old.working_dir, working_dir);
        self.field("user", &old.user, user);
        self.field("hostname", &old.hostname, hostname);
        self.map("labels", &old.labels, labels, |value| rendered(&value));
        self.set("ports", old.ports.iter().map(port), ports.iter().map(port));
        self.mounts(&old.mounts, mounts);
        self.field("network", &Some(network_mode(&old.network)), &Some(network_mode(network)));
        self.flag("read_only", old.read_only, *read_only);
        self.flag("no_new_privileges", old.no_new_privileges, *no_new_privileges);
        self.set("cap_add", old.cap_add.iter().cloned(), cap_add.iter().cloned());
        self.set("cap_drop", old.cap_drop.iter().cloned(), cap_drop.iter().cloned());
    }

    /// Key by key. `show` gives a value as it may be shown.
    fn map<K: Ord + std::fmt::Display, V: PartialEq>(
        &mut self,
        field: &str,
        old: &BTreeMap<K, V>,
        new: &BTreeMap<K, V>,
        show: impl Fn(&V) -> String,
    ) {
        let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let (before, after) = (old.get(key), new.get(key));
            if before != after {
                self.push(&format!("{field}.{key}"), before.map(&show), after.map(&show));
            }
        }
    }

    /// A list whose order means nothing.
    fn set(&mut self, field: &str, old: impl Iterator<Item = String>, new: impl Iterator<Item = String>) {
        let listed = |items: BTreeSet<String>| (!items.is_empty()).then_some(items);
        self.field(field, &listed(old.collect()), &listed(new.collect()));
    }

    fn mounts(&mut self, old: &[Mount], new: &[Mount]) {
        let by_target = |mounts: &[Mount]| -> BTreeMap<String, Mount> {
            mounts.iter().map(|mount| (mount.target.clone(), mount.clone())).collect()
        };
        self.map("volumes", &by_target(old), &by_target(new), mount);
    }

    fn resources(&mut self, old: &Resources, new: &Resources) {
        let Resources { memory, cpu_millis, pids } = new;
        self.field("resources.memory", &old.memory.map(bytes), &memory.map(bytes));
        self.field("resources.cpus", &old.cpu_millis.map(cpus), &cpu_millis.map(cpus));
        self.field("resources.pids", &old.pids, pids);
    }

    fn log(&mut self, old: &LogRotation, new: &LogRotation) {
        let LogRotation { max_size, max_files } = new;
        self.field("log.max_size", &Some(bytes(old.max_size)), &Some(bytes(*max_size)));
        self.field("log.max_files", &Some(old.max_files), &Some(*max_files));
    }
}

/// As TOML writes it: for these types that is as JSON does.
fn rendered<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn with_id(reference: &str, id: Option<&str>) -> String {
    let Some(id) = id else { return reference.to_owned() };
    let hex: String = id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect();
    format!("{reference} ({hex})")
}

fn port(port: &PublishedPort) -> String {
    let host = port.host_ip.map(|ip| format!("{ip}:")).unwrap_or_default();
    let protocol = match port.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    };
    format!("{host}{}:{}{protocol}", port.host_port, port.container_port)
}

fn mount(mount: &Mount) -> String {
    let mode = if mount.read_only { ":ro" } else { "" };
    let target = &mount.target;
    match &mount.source {
        MountSource::Volume(name) => format!("{name}:{target}{mode}"),
        MountSource::Host(path) => format!("{path}:{target}{mode}"),
        MountSource::Tmpfs => format!("tmpfs:{target}{mode}"),
        MountSource::Source(path) => {
            let digest: String = path.digest.chars().take(12).collect();
            format!("./{}:{target}{mode} (content {digest})", path.path)
        }
    }
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        // A network could be named like a mode.
        NetworkMode::Named(name) => format!("network.{name}"),
    }
}

fn bytes(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes % unit == 0 {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

fn cpus(millis: u32) -> f64 {
    f64::from(millis) / 1000.0
}
