//! A container that is not homeostat's, as an engine tells of it.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{Adopt, App, Container, Endpoint, Mount, MountSource, Name, NetworkMode};
use serde::{Deserialize, Serialize};

use crate::{FieldChange, Observed, ObservedContainer, ResourceKey};

/// A container that somebody else made, with what only the specs can tell the meaning of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignContainer {
    /// As if it were homeostat's. Mounts of volumes are told as the path where the engine keeps them, and those of volumes
    /// that have no name but a number not at all.
    pub container: ObservedContainer,
    /// The volumes that it mounts, by their target, also those that have no name but a number.
    #[serde(default)]
    pub volumes: BTreeMap<String, ForeignResource>,
    /// The networks that it is on, but for those that a spec calls `bridge`.
    #[serde(default)]
    pub networks: Vec<ForeignResource>,
    /// How it is on them, by the engine's names.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// What it has that no spec can say, by the field's own name for it: its successor would be without.
    #[serde(default)]
    pub beyond_specs: BTreeMap<String, String>,
}

/// A volume or network by the engine's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignResource {
    /// The name at the engine.
    pub name: String,
    /// As which ones a homeostat that has them, has it.
    pub owners: BTreeSet<ResourceKey>,
}

impl From<ObservedContainer> for ForeignContainer {
    fn from(container: ObservedContainer) -> Self {
        Self {
            container,
            volumes: BTreeMap::new(),
            networks: Vec::new(),
            endpoints: BTreeMap::new(),
            beyond_specs: BTreeMap::new(),
        }
    }
}

impl ForeignContainer {
    /// The container as it would be if an app had taken over the volumes and networks that it declares, and what
    /// would be lost with it.
    pub(crate) fn seen_by(
        &self,
        app: &App,
        declared: &Container,
        observed: &Observed,
    ) -> (ObservedContainer, Vec<FieldChange>) {
        let mut container = self.container.clone();
        let beyond_specs = self.beyond_specs.iter().map(|(field, value)| lost(field, value.clone()));
        let mut all: Vec<FieldChange> = beyond_specs.collect();
        all.extend(self.name_volumes(app, &mut container, observed));
        all.extend(self.name_network(app, &mut container, declared, observed));
        (container, all)
    }

    /// Tells mounted volumes by the names that the app has for them. One that nobody named would stay behind.
    fn name_volumes(
        &self,
        app: &App,
        container: &mut ObservedContainer,
        observed: &Observed,
    ) -> Vec<FieldChange> {
        let mut left = Vec::new();
        for (target, volume) in &self.volumes {
            let declared = app.volumes.iter().map(|(name, volume)| (name, volume.adopt.as_ref()));
            let name = volume.declared_as(&app.name, declared, |key| observed.volumes.contains(key));
            let mount = container.config.mounts.iter_mut().find(|mount| mount.target == *target);
            match (name, mount) {
                (Some(name), Some(mount)) => mount.source = MountSource::Volume(name.clone()),
                // One that has no name but a number is no mount that a spec could have asked for.
                (Some(name), None) => container.config.mounts.push(Mount {
                    source: MountSource::Volume(name.clone()),
                    target: target.clone(),
                    read_only: false,
                }),
                (None, Some(_)) => {}
                (None, None) => left.push(lost(&format!("volumes.{target}"), volume.name.clone())),
            }
        }
        left
    }

    fn name_network(
        &self,
        app: &App,
        container: &mut ObservedContainer,
        declared: &Container,
        observed: &Observed,
    ) -> Option<FieldChange> {
        let of_app = || app.networks.iter().map(|(name, network)| (name, network.adopt.as_ref()));
        let is_here = |key: &ResourceKey| observed.networks.contains_key(key);
        if self.networks.is_empty() {
            return None;
        }
        let connected = self.networks.iter().map(|network| {
            let name = network.declared_as(&app.name, of_app(), is_here)?.clone();
            Some((name, self.endpoints.get(&network.name).cloned().unwrap_or_default()))
        });
        if let Some(mut networks) = connected.collect::<Option<BTreeMap<Name, Endpoint>>>() {
            // Which of them leads out is the engine's choice.
            let wanted = declared.config.app_networks().next().filter(|name| networks.contains_key(*name));
            let first = wanted.or_else(|| networks.keys().next())?.clone();
            networks.retain(|name, endpoint| *name != first || !endpoint.is_default());
            container.config.network = NetworkMode::Named(first);
            container.config.networks = networks;
            return None;
        }
        container.config.network = declared.config.network.clone();
        let names: Vec<&str> = self.networks.iter().map(|network| network.name.as_str()).collect();
        let new = Some(declared.config.network.to_string());
        Some(FieldChange { field: "network".to_owned(), old: Some(names.join(", ")), new })
    }
}

impl ForeignResource {
    /// As which of its own an app has this, or will have it once it has taken it over.
    fn declared_as<'a>(
        &self,
        app: &Name,
        mut declared: impl Iterator<Item = (&'a Name, Option<&'a Adopt>)>,
        is_here: impl Fn(&ResourceKey) -> bool,
    ) -> Option<&'a Name> {
        let is_this = |(name, adopt): &(&Name, Option<&Adopt>)| {
            let key = ResourceKey::new(app.clone(), (*name).clone());
            if is_here(&key) {
                return self.owners.contains(&key);
            }
            adopt.is_some_and(|adopt| match adopt {
                Adopt::ByName => self.name == format!("{app}_{name}"),
                written => written.written().contains(&self.name),
            })
        };
        declared.find(is_this).map(|(name, _)| name)
    }
}

fn lost(field: &str, value: String) -> FieldChange {
    FieldChange { field: field.to_owned(), old: Some(value), new: None }
}
