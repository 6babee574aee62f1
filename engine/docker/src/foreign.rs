//! What only matters of a container before it is homeostat's.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ContainerInspectResponse, HostConfig};
use homeostat_reconciler::{Abilities, ForeignContainer, ForeignResource, ResourceKey};
use homeostat_spec::Endpoint;
use serde::Serialize;

use crate::Flavour;
use crate::connect::endpoints;
use crate::create::{SECCOMP_UNCONFINED, UNMASK_ALL};
use crate::engine::Inner;
use crate::read::Seen;

/// What is told of a container that is not homeostat's, beyond what is told of any.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Volumes by target, with the engine's names.
    volumes: BTreeMap<String, String>,
    /// The engine's names of the networks that it is on.
    networks: Vec<String>,
    /// How it is on them.
    endpoints: BTreeMap<String, Endpoint>,
    /// When the engine itself starts it again, if it does.
    pub(crate) restart: Option<String>,
    /// What no spec can say.
    beyond_specs: BTreeMap<String, String>,
}

impl Foreign {
    pub(crate) fn of(inspect: &ContainerInspectResponse, flavour: Flavour) -> Self {
        let volumes = inspect.mounts.iter().flatten().filter(|mount| mount.typ.as_deref() == Some("volume"));
        let volumes = volumes.filter_map(|mount| Some((mount.destination.clone()?, mount.name.clone()?)));
        let mut foreign = Self {
            volumes: volumes.collect(),
            networks: networks(inspect),
            endpoints: endpoints(inspect, None),
            ..Self::default()
        };
        if let Some(host) = &inspect.host_config {
            let policy = host.restart_policy.as_ref().and_then(|policy| policy.name);
            let policy = policy.map(|name| name.to_string());
            foreign.restart = policy.filter(|name| !matches!(name.as_str(), "" | "no"));
            foreign.rights(host, flavour);
            foreign.surroundings(host, flavour);
        }
        foreign
    }

    fn found<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) {
        let text = serde_json::to_string(value).unwrap_or_default();
        self.beyond_specs.insert(field.to_owned(), text);
    }

    /// A list that says something.
    fn list<T: Serialize>(&mut self, field: &str, list: Option<&Vec<T>>) {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            self.found(field, list);
        }
    }

    fn rights(&mut self, host: &HostConfig, flavour: Flavour) {
        if host.privileged == Some(true) {
            self.found("privileged", &true);
        }
        self.list("gpus", host.device_requests.as_ref());
        self.list("device_cgroup_rules", host.device_cgroup_rules.as_ref());
        // Podman tells what its own configuration gives to every container.
        if flavour == Flavour::Docker {
            let options = host.security_opt.iter().flatten();
            let known = |option: &str| {
                option.starts_with("no-new-privileges") || matches!(option, SECCOMP_UNCONFINED | UNMASK_ALL)
            };
            let others: Vec<&String> = options.filter(|option| !known(option)).collect();
            self.list("security_opt", Some(&others));
        }
        if let Some(score) = host.oom_score_adj.filter(|score| *score != 0 && flavour == Flavour::Docker) {
            self.found("oom_score_adj", &score);
        }
    }

    fn surroundings(&mut self, host: &HostConfig, flavour: Flavour) {
        for (field, mode) in [
            ("pid", &host.pid_mode),
            ("ipc", &host.ipc_mode),
            ("uts", &host.uts_mode),
            ("network_mode", &host.network_mode),
        ] {
            let shared = |mode: &&String| {
                mode.starts_with("container:") || **mode == "host" && field != "network_mode"
            };
            if let Some(mode) = mode.as_ref().filter(shared) {
                self.found(field, mode);
            }
        }
        let runtime = host.runtime.as_ref().filter(|name| !matches!(name.as_str(), "" | "runc"));
        if let (Some(runtime), Flavour::Docker) = (runtime, flavour) {
            self.found("runtime", runtime);
        }
    }
}

/// The networks that a container is on, but for those that a spec calls by other words than a name.
fn networks(inspect: &ContainerInspectResponse) -> Vec<String> {
    let networks = inspect.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let names: BTreeSet<&String> = networks.into_iter().flatten().map(|(name, _)| name).collect();
    let by_word = |name: &str| matches!(name, "bridge" | "host" | "none" | "podman" | "default");
    names.into_iter().filter(|name| !by_word(name)).cloned().collect()
}

impl Inner {
    /// A container that is not homeostat's.
    pub(crate) fn foreign(&self, seen: &Seen, abilities: &Abilities) -> ForeignContainer {
        let Foreign { volumes, networks, endpoints, restart, beyond_specs } = &seen.foreign;
        let mut beyond_specs = beyond_specs.clone();
        // Whoever cannot be told to leave that to homeostat would do it too.
        if let (Some(policy), false) = (restart, abilities.update_resources) {
            beyond_specs.insert("restart of the engine".to_owned(), policy.clone());
        }
        let resource = |name: &String, owners: Vec<ResourceKey>| ForeignResource {
            name: name.clone(),
            owners: owners.into_iter().collect(),
        };
        let volumes = volumes.iter();
        let networks = networks.iter().filter(|name| **name != self.instance.default_network());
        ForeignContainer {
            container: seen.observed.clone(),
            volumes: volumes
                .map(|(target, name)| (target.clone(), resource(name, self.ledger.volumes_called(name))))
                .collect(),
            networks: networks.map(|name| resource(name, self.ledger.networks_called(name))).collect(),
            endpoints: endpoints.clone(),
            beyond_specs,
        }
    }
}
