//! What people ask for on the host itself, beside what the source says.

use std::collections::BTreeMap;

use homeostat_spec::{App, Container, Name, Network, Volume};
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

    /// Forgets a container and what is kept by hand of its state, and volumes and networks with the last container of
    /// their app. Returns whether it was there.
    pub fn remove(&mut self, key: &ResourceKey) -> bool {
        let Some(app) = self.apps.get_mut(&key.app) else { return false };
        let found = app.containers.remove(&key.name).is_some();
        if app.containers.is_empty() {
            self.apps.remove(&key.app);
        }
        if found {
            self.overrides.remove(key);
        }
        found
    }

    /// What the source declares together with what was asked for by hand. Where both have one name, the source counts.
    pub fn complete(&self, declared: &Desired) -> Desired {
        let mut desired = Desired { overrides: self.overrides.clone(), ..declared.clone() };
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
