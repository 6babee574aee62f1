//! What differs between a resource as declared and as it is, in the words of a spec.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{
    Confinement, Container, ContainerConfig, Endpoint, ExtraHost, Kernel, LogRotation, Mount, MountSource,
    Name, Names, Network, NetworkMode, Resources,
};
use serde::Serialize;

use crate::observed::find_image;
use crate::{Abilities, FieldChange, HIDDEN, Observed, ObservedContainer, ObservedImage};

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

/// What differs. `reference` is that of the declared image. `observed` tells what images there are, and what the engine can
/// change on a container that exists.
pub(crate) fn container_changes(
    declared: &Container,
    reference: &str,
    actual: &ObservedContainer,
    observed: &Observed,
) -> Changes {
    let Abilities { update_resources, update_log, .. } = observed.abilities;
    let (mut recreate, mut update) = (Comparison::default(), Comparison::default());
    recreate.image(reference, actual, &observed.images);
    recreate.config(&actual.config, &declared.config);
    let resources = if update_resources { &mut update } else { &mut recreate };
    resources.resources(&actual.config.resources, &declared.config.resources);
    let log = if update_log { &mut update } else { &mut recreate };
    log.log(&actual.config.log, &declared.config.log);
    Changes { recreate: recreate.0, update: update.0 }
}

/// What differs in a network. A subnet that is not declared is the engine's choice, and labels are
/// not worth stopping the containers on the network for: they hold from its next creation on.
pub(crate) fn network_changes(name: &str, declared: &Network, actual: &Network) -> Vec<FieldChange> {
    let mut comparison = Comparison::default();
    if declared.subnet.is_some() {
        comparison.field(&format!("network.{name}.subnet"), actual.subnet.as_ref(), declared.subnet.as_ref());
    }
    comparison.field(&format!("network.{name}.internal"), Some(&actual.internal), Some(&declared.internal));
    comparison.0
}

#[derive(Default)]
struct Comparison(Vec<FieldChange>);

impl Comparison {
    fn push(&mut self, field: &str, old: Option<String>, new: Option<String>) {
        self.0.push(FieldChange { field: field.to_owned(), old, new });
    }

    fn field<T: PartialEq + Serialize>(&mut self, field: &str, old: Option<&T>, new: Option<&T>) {
        if old != new {
            self.push(field, old.map(rendered), new.map(rendered));
        }
    }

    fn flag(&mut self, field: &str, old: bool, new: bool) {
        self.field(field, Some(&old), Some(&new));
    }

    /// By id, so that a build or pull that gives the same image changes nothing. A reference that is
    /// not here and that the container was created from tells nothing new.
    fn image(
        &mut self,
        reference: &str,
        actual: &ObservedContainer,
        images: &BTreeMap<String, ObservedImage>,
    ) {
        let differs = match find_image(images, reference) {
            Some(image) => image.id != actual.image_id,
            None => reference != actual.image,
        };
        if !differs {
            return;
        }
        let new_id = find_image(images, reference).map(|image| image.id.as_str());
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
            group_add,
            hostname,
            labels,
            ports,
            publish_all,
            mounts,
            network,
            networks,
            resources: _,
            read_only,
            no_new_privileges,
            cap_add,
            cap_drop,
            tty,
            stdin_open,
            log: _,
            kernel,
            names,
            confinement: Confinement { seccomp, system_paths },
            init,
        } = new;
        self.field("entrypoint", old.entrypoint.as_ref(), entrypoint.as_ref());
        self.field("command", old.command.as_ref(), command.as_ref());
        self.map("env", &old.env, env, |_| HIDDEN.to_owned());
        self.field("working_dir", old.working_dir.as_ref(), working_dir.as_ref());
        self.field("user", old.user.as_ref(), user.as_ref());
        self.set("group_add", old.group_add.iter().cloned(), group_add.iter().cloned());
        self.field("hostname", old.hostname.as_ref(), hostname.as_ref());
        self.map("labels", &old.labels, labels, |value| rendered(&value));
        self.set("ports", old.ports.iter().map(ToString::to_string), ports.iter().map(ToString::to_string));
        self.flag("publish_all", old.publish_all, *publish_all);
        self.mounts(&old.mounts, mounts);
        self.field("network", Some(&network_mode(&old.network)), Some(&network_mode(network)));
        self.networks(old, new, networks);
        self.flag("read_only", old.read_only, *read_only);
        self.flag("no_new_privileges", old.no_new_privileges, *no_new_privileges);
        self.set("cap_add", old.cap_add.iter().cloned(), cap_add.iter().cloned());
        self.set("cap_drop", old.cap_drop.iter().cloned(), cap_drop.iter().cloned());
        self.flag("tty", old.tty, *tty);
        self.flag("stdin_open", old.stdin_open, *stdin_open);
        self.kernel(&old.kernel, kernel);
        self.names(&old.names, names);
        self.field("seccomp", Some(&old.confinement.seccomp), Some(seccomp));
        self.field("system_paths", Some(&old.confinement.system_paths), Some(system_paths));
        self.flag("init", old.init, *init);
    }

    fn names(&mut self, old: &Names, new: &Names) {
        let Names { extra_hosts, servers, search, options } = new;
        let shown = |hosts: &[ExtraHost]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.list("extra_hosts", &shown(&old.extra_hosts), &shown(extra_hosts));
        self.list("dns", &old.servers, servers);
        self.list("dns_search", &old.search, search);
        self.list("dns_options", &old.options, options);
    }

    /// What is asked for on each network of the app. A network with nothing asked for is one more that the container is on.
    fn networks(
        &mut self,
        old: &ContainerConfig,
        new: &ContainerConfig,
        networks: &BTreeMap<Name, Endpoint>,
    ) {
        if old.networks == *networks {
            return;
        }
        let names: BTreeSet<&Name> = old.networks.keys().chain(networks.keys()).collect();
        for name in names {
            let (before, after) = (old.networks.get(name), networks.get(name));
            let field = format!("networks.{name}");
            if old.is_on(name) != new.is_on(name) {
                self.push(&field, before.map(endpoint), after.map(endpoint));
                continue;
            }
            let default = Endpoint::default();
            let (before, after) = (before.unwrap_or(&default), after.unwrap_or(&default));
            self.set(
                &format!("{field}.aliases"),
                before.aliases.iter().cloned(),
                after.aliases.iter().cloned(),
            );
            self.field(&format!("{field}.address"), before.address.as_ref(), after.address.as_ref());
        }
    }

    fn kernel(&mut self, old: &Kernel, new: &Kernel) {
        let Kernel { ulimits, sysctls, shm_size, devices } = new;
        self.set(
            "devices",
            old.devices.iter().map(ToString::to_string),
            devices.iter().map(ToString::to_string),
        );
        self.map("ulimits", &old.ulimits, ulimits, |limit| rendered(&limit.to_string()));
        self.map("sysctls", &old.sysctls, sysctls, |value| rendered(&value));
        self.field("shm_size", old.shm_size.map(bytes).as_ref(), shm_size.map(bytes).as_ref());
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

    fn list<T: PartialEq + Serialize>(&mut self, field: &str, old: &Vec<T>, new: &Vec<T>) {
        let listed = |items: &Vec<T>| !items.is_empty();
        self.field(field, Some(old).filter(|old| listed(old)), Some(new).filter(|new| listed(new)));
    }

    /// A list whose order means nothing.
    fn set(&mut self, field: &str, old: impl Iterator<Item = String>, new: impl Iterator<Item = String>) {
        let listed = |items: BTreeSet<String>| (!items.is_empty()).then_some(items);
        self.field(field, listed(old.collect()).as_ref(), listed(new.collect()).as_ref());
    }

    fn mounts(&mut self, old: &[Mount], new: &[Mount]) {
        let by_target = |mounts: &[Mount]| -> BTreeMap<String, Mount> {
            mounts.iter().map(|mount| (mount.target.clone(), mount.clone())).collect()
        };
        self.map("volumes", &by_target(old), &by_target(new), mount);
    }

    fn resources(&mut self, old: &Resources, new: &Resources) {
        let Resources { memory, cpu_millis, pids } = new;
        self.field("resources.memory", old.memory.map(bytes).as_ref(), memory.map(bytes).as_ref());
        self.field("resources.cpus", old.cpu_millis.map(cpus).as_ref(), cpu_millis.map(cpus).as_ref());
        self.field("resources.pids", old.pids.as_ref(), pids.as_ref());
    }

    fn log(&mut self, old: &LogRotation, new: &LogRotation) {
        let LogRotation { max_size, max_files } = new;
        self.field("log.max_size", Some(&bytes(old.max_size)), Some(&bytes(*max_size)));
        self.field("log.max_files", Some(&old.max_files), Some(max_files));
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

/// A file of the source also with its content, which may be all that changed.
fn mount(mount: &Mount) -> String {
    match &mount.source {
        MountSource::Source(path) => {
            let digest: String = path.digest.chars().take(12).collect();
            format!("{mount} (content {digest})")
        }
        _ => mount.to_string(),
    }
}

/// As TOML writes it within a line.
fn endpoint(endpoint: &Endpoint) -> String {
    let Endpoint { aliases, address } = endpoint;
    let aliases = (!aliases.is_empty()).then(|| format!("aliases = {}", rendered(aliases)));
    let address = address.map(|address| format!("address = {}", rendered(&address)));
    let fields: Vec<String> = aliases.into_iter().chain(address).collect();
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        // A network could be named like a mode.
        NetworkMode::Named(name) => format!("network.{name}"),
        mode => mode.to_string(),
    }
}

fn bytes(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

fn cpus(millis: u32) -> f64 {
    f64::from(millis) / 1000.0
}

#[cfg(test)]
mod tests {
    use homeostat_spec::{Profile, Ulimit};
    use jiff::Timestamp;

    use super::*;
    use crate::fake::World;
    use crate::fake::specs::{container, key, name, network, port};

    type Edit = fn(&mut Container);

    /// What differs once a container that is as declared is declared otherwise.
    fn changes(edit: impl Fn(&mut Container)) -> Changes {
        changes_with(Abilities::default(), edit)
    }

    fn changes_with(abilities: Abilities, edit: impl Fn(&mut Container)) -> Changes {
        let mut declared = container("nginx");
        let mut world = World::at(Timestamp::UNIX_EPOCH);
        world.bring_image("nginx").unwrap();
        world.create_container(&key("web/web"), "nginx", &declared.config).unwrap();
        let observed = Observed { abilities, ..world.observe() };
        edit(&mut declared);
        container_changes(&declared, "nginx", &observed.containers[&key("web/web")], &observed)
    }

    #[test]
    fn nothing_differs_in_what_was_created_as_declared() {
        assert!(changes(|_| ()).is_empty());
    }

    #[test]
    fn each_field_is_named_as_in_a_spec() {
        let edits: [(&str, Edit); 30] = [
            ("entrypoint: unset -> [\"init\"]", |c| c.config.entrypoint = Some(vec!["init".to_owned()])),
            ("command: unset -> [\"-v\"]", |c| c.config.command = Some(vec!["-v".to_owned()])),
            ("env.KEY: unset -> (hidden)", |c| {
                drop(c.config.env.insert("KEY".to_owned(), "secret".to_owned()));
            }),
            ("working_dir: unset -> \"/srv\"", |c| c.config.working_dir = Some("/srv".to_owned())),
            ("user: unset -> \"app\"", |c| c.config.user = Some("app".to_owned())),
            ("group_add: unset -> [\"crew\"]", |c| c.config.group_add.push("crew".to_owned())),
            ("ulimits.nofile: unset -> \"1:unlimited\"", |c| {
                let limit = Ulimit { soft: Some(1), hard: None };
                c.config.kernel.ulimits = BTreeMap::from([("nofile".to_owned(), limit)]);
            }),
            ("sysctls.kernel.sem: unset -> \"1\"", |c| {
                drop(c.config.kernel.sysctls.insert("kernel.sem".to_owned(), "1".to_owned()));
            }),
            ("shm_size: unset -> \"1MiB\"", |c| c.config.kernel.shm_size = Some(1 << 20)),
            ("extra_hosts: unset -> [\"db:host-gateway\"]", |c| {
                c.config.names.extra_hosts.push(ExtraHost { name: "db".to_owned(), address: None });
            }),
            ("dns: unset -> [\"9.9.9.9\"]", |c| c.config.names.servers.push([9, 9, 9, 9].into())),
            ("seccomp: \"default\" -> \"unconfined\"", |c| {
                c.config.confinement.seccomp = Profile::Unconfined;
            }),
            ("system_paths: \"default\" -> \"unconfined\"", |c| {
                c.config.confinement.system_paths = Profile::Unconfined;
            }),
            ("init: false -> true", |c| c.config.init = true),
            ("hostname: unset -> \"web\"", |c| c.config.hostname = Some("web".to_owned())),
            ("labels.a: unset -> \"b\"", |c| drop(c.config.labels.insert("a".to_owned(), "b".to_owned()))),
            ("ports: unset -> [\"80:80\"]", |c| c.config.ports.push(port(80))),
            ("publish_all: false -> true", |c| c.config.publish_all = true),
            ("volumes./tmp: unset -> tmpfs /tmp", |c| {
                let source = MountSource::Tmpfs;
                c.config.mounts.push(Mount { source, target: "/tmp".to_owned(), read_only: false });
            }),
            ("volumes./d: unset -> data:/d:ro", |c| {
                let source = MountSource::Volume(name("data"));
                c.config.mounts.push(Mount { source, target: "/d".to_owned(), read_only: true });
            }),
            ("network: \"bridge\" -> \"host\"", |c| c.config.network = NetworkMode::Host),
            ("network: \"bridge\" -> \"network.host\"", |c| {
                c.config.network = NetworkMode::Named(name("host"));
            }),
            ("networks.back: unset -> {}", |c| {
                c.config.networks.insert(name("back"), Endpoint::default());
            }),
            ("networks.back: unset -> { aliases = [\"db\"], address = \"10.1.0.9\" }", |c| {
                let address = Some([10, 1, 0, 9].into());
                let endpoint = Endpoint { aliases: ["db".to_owned()].into(), address };
                c.config.networks.insert(name("back"), endpoint);
            }),
            ("read_only: false -> true", |c| c.config.read_only = true),
            ("no_new_privileges: false -> true", |c| c.config.no_new_privileges = true),
            ("cap_add: unset -> [\"CAP_KILL\"]", |c| c.config.cap_add.push("CAP_KILL".to_owned())),
            ("cap_drop: unset -> [\"ALL\"]", |c| c.config.cap_drop.push("ALL".to_owned())),
            ("tty: false -> true", |c| c.config.tty = true),
            ("stdin_open: false -> true", |c| c.config.stdin_open = true),
        ];
        for (expected, edit) in edits {
            let changes = changes(edit);
            let shown: Vec<String> = changes.recreate.iter().map(ToString::to_string).collect();
            assert_eq!(shown, [expected]);
            assert!(changes.update.is_empty());
        }
    }

    #[test]
    fn limits_and_log_rotation_need_no_new_container() {
        let changes = changes(|container| {
            container.config.resources =
                Resources { memory: Some(1536), cpu_millis: Some(500), pids: Some(9) };
            container.config.log = LogRotation { max_size: 1 << 30, max_files: 1 };
        });
        let shown: Vec<String> = changes.update.iter().map(ToString::to_string).collect();
        assert!(changes.recreate.is_empty());
        assert_eq!(
            shown,
            [
                "resources.memory: unset -> \"1536B\"",
                "resources.cpus: unset -> 0.5",
                "resources.pids: unset -> 9",
                "log.max_size: \"10MiB\" -> \"1GiB\"",
                "log.max_files: 3 -> 1",
            ]
        );
    }

    #[test]
    fn what_the_engine_cannot_update_needs_a_new_container() {
        let edit = |container: &mut Container| {
            container.config.resources.pids = Some(9);
            container.config.log.max_files = 1;
        };
        let no_log = Abilities { update_log: false, ..Abilities::default() };
        let changes = changes_with(no_log, edit);
        assert_eq!(changes.recreate[0].to_string(), "log.max_files: 3 -> 1");
        assert_eq!(changes.update[0].to_string(), "resources.pids: unset -> 9");
        let no_resources = Abilities { update_resources: false, ..Abilities::default() };
        let changes = changes_with(no_resources, edit);
        assert_eq!(changes.recreate[0].to_string(), "resources.pids: unset -> 9");
        assert_eq!(changes.update[0].to_string(), "log.max_files: 3 -> 1");
    }

    #[test]
    fn the_order_of_ports_capabilities_and_mounts_means_nothing() {
        let mut one = container("nginx").config;
        one.ports = vec![port(80), port(81)];
        one.cap_add = vec!["CAP_KILL".to_owned(), "CAP_CHOWN".to_owned()];
        let tmpfs =
            |target: &str| Mount { source: MountSource::Tmpfs, target: target.to_owned(), read_only: false };
        one.mounts = vec![tmpfs("/a"), tmpfs("/b")];
        let mut other = one.clone();
        other.ports.reverse();
        other.cap_add.reverse();
        other.mounts.reverse();
        let mut comparison = Comparison::default();
        comparison.config(&one, &other);
        assert_eq!(comparison.0, []);
    }

    #[test]
    fn a_network_differs_in_its_subnet_only_if_one_is_declared() {
        let there = network(Some("10.1.0.0/24"));
        assert_eq!(network_changes("front", &network(None), &there), []);
        let changes = network_changes("front", &network(Some("10.2.0.0/24")), &there);
        assert_eq!(changes[0].to_string(), "network.front.subnet: \"10.1.0.0/24\" -> \"10.2.0.0/24\"");
        let internal = Network { internal: true, ..network(None) };
        assert_eq!(network_changes("front", &internal, &there)[0].field, "network.front.internal");
    }
}
