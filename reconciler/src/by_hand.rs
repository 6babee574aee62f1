//! What people ask for on the host itself, beside what the source says.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{App, Container, ContainerConfig, MountSource, Name, Network, Volume};
use serde::{Deserialize, Serialize};

use crate::{ContainerState, Desired, ExitStatus, Observed, Override, ResourceKey};

/// What was asked for by hand. Other than the record it cannot be rebuilt from anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// What no spec declares, by app. The app may be one of the source: then what is here is beside what its spec
    /// declares, and may use its volumes and networks.
    pub apps: BTreeMap<Name, ByHandApp>,
    /// Containers, declared or not, that are in another state than they are declared in.
    pub overrides: BTreeMap<ResourceKey, Override>,
    /// What was asked for once and is to go, until it is gone. An empty source does not keep it.
    #[serde(default)]
    pub removed: BTreeSet<ResourceKey>,
}

/// What was asked for by hand in one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandApp {
    /// Containers, by name.
    pub containers: BTreeMap<Name, ByHandContainer>,
    /// Volumes that these mount. They stay when they are here no more, as every volume that is not said to go.
    pub volumes: BTreeMap<Name, Volume>,
    /// Networks that these are on.
    pub networks: BTreeMap<Name, Network>,
}

/// A container that was asked for by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandContainer {
    /// As a spec would declare it.
    pub container: Container,
    /// It is removed when its run has ended, as Docker's `--rm`.
    pub auto_remove: bool,
}

impl ByHand {
    /// A container that was asked for by hand.
    pub fn container(&self, key: &ResourceKey) -> Option<&ByHandContainer> {
        self.apps.get(&key.app)?.containers.get(&key.name)
    }

    /// As [`container`](Self::container), to be changed.
    pub fn container_mut(&mut self, key: &ResourceKey) -> Option<&mut ByHandContainer> {
        self.apps.get_mut(&key.app)?.containers.get_mut(&key.name)
    }

    /// Asks for a container, with the volumes and networks that it has.
    pub fn add(
        &mut self,
        key: &ResourceKey,
        container: ByHandContainer,
        volumes: BTreeMap<Name, Volume>,
        networks: BTreeMap<Name, Network>,
    ) {
        let own = |name: &Name| ResourceKey::new(key.app.clone(), name.clone());
        for name in volumes.keys().chain(networks.keys()).chain([&key.name]) {
            self.removed.remove(&own(name));
        }
        let app = self.apps.entry(key.app.clone()).or_default();
        app.containers.insert(key.name.clone(), container);
        app.volumes.extend(volumes);
        app.networks.extend(networks);
    }

    /// Takes back a container and what is kept by hand of its state, and volumes and networks that no other one has.
    /// Returns whether it was there.
    pub fn remove(&mut self, key: &ResourceKey) -> bool {
        let Some(app) = self.apps.get_mut(&key.app) else { return false };
        if app.containers.remove(&key.name).is_none() {
            return false;
        }
        let mut gone = vec![key.name.clone()];
        let containers = &app.containers;
        let config = |used: &dyn Fn(&ContainerConfig) -> bool| {
            containers.values().any(|other| used(&other.container.config))
        };
        app.volumes.retain(|name, volume| {
            let mounts = |config: &ContainerConfig| {
                config.mounts.iter().any(|mount| mount.source == MountSource::Volume(name.clone()))
            };
            let used = config(&mounts);
            gone.extend((!used && !volume.retain).then(|| name.clone()));
            used
        });
        app.networks.retain(|name, _| {
            let used = config(&|config| config.is_on(name));
            gone.extend((!used).then(|| name.clone()));
            used
        });
        if containers.is_empty() {
            self.apps.remove(&key.app);
        }
        self.overrides.remove(key);
        self.removed.extend(gone.into_iter().map(|name| ResourceKey::new(key.app.clone(), name)));
        true
    }

    /// What the source declares together with what was asked for by hand. Where both have one name, the source counts.
    pub fn complete(&self, declared: &Desired) -> Desired {
        let (overrides, removed) = (self.overrides.clone(), self.removed.clone());
        let mut desired = Desired { overrides, removed, ..declared.clone() };
        for (name, by_hand) in &self.apps {
            let app = desired.apps.entry(name.clone()).or_insert_with(|| undeclared(name));
            for (name, by_hand) in &by_hand.containers {
                app.containers.entry(name.clone()).or_insert_with(|| by_hand.container.clone());
            }
            for (name, volume) in &by_hand.volumes {
                app.volumes.entry(name.clone()).or_insert_with(|| volume.clone());
            }
            for (name, network) in &by_hand.networks {
                app.networks.entry(name.clone()).or_insert_with(|| network.clone());
            }
        }
        desired
    }

    /// Forgets what is done: containers that were to be removed after their run, which are returned with its end, and
    /// overrides that have had their effect or whose container is neither declared nor there. `desired` is what
    /// [`complete`](Self::complete) gave, `observed` what there is.
    pub fn settle(&mut self, desired: &Desired, observed: &Observed) -> Vec<(ResourceKey, ExitStatus)> {
        self.overrides.retain(|key, kept| {
            let actual = observed.containers.get(key);
            (actual.is_some() || desired.container(key).is_some()) && !kept.is_done(actual)
        });
        self.removed.retain(|key| {
            let there = observed.containers.contains_key(key)
                || observed.volumes.contains(key)
                || observed.networks.contains_key(key);
            // What is declared now is not to go any more.
            there && !is_declared(desired, key)
        });
        let ended = self.ended(observed);
        for (key, _) in &ended {
            self.remove(key);
        }
        ended
    }

    fn ended(&self, observed: &Observed) -> Vec<(ResourceKey, ExitStatus)> {
        let containers = self.apps.iter().flat_map(|(app, by_hand)| {
            by_hand
                .containers
                .iter()
                .map(|(name, container)| (ResourceKey::new(app.clone(), name.clone()), container))
        });
        let ended = containers.filter_map(|(key, container)| {
            let actual = observed.containers.get(&key)?;
            // A run that is to come yet, or that is awaited.
            let goes_on = self.overrides.contains_key(&key) || actual.state != ContainerState::Exited;
            let exit = actual.exit.clone().filter(|_| container.auto_remove && !goes_on)?;
            Some((key, exit))
        });
        ended.collect()
    }
}

fn is_declared(desired: &Desired, key: &ResourceKey) -> bool {
    desired.apps.get(&key.app).is_some_and(|app| {
        app.containers.contains_key(&key.name)
            || app.volumes.contains_key(&key.name)
            || app.networks.contains_key(&key.name)
    })
}

/// An app that no spec declares: it has no file.
fn undeclared(name: &Name) -> App {
    App {
        name: name.clone(),
        file: String::new(),
        description: None,
        images: BTreeMap::new(),
        containers: BTreeMap::new(),
        volumes: BTreeMap::new(),
        networks: BTreeMap::new(),
    }
}
