//! What is on the host and not homeostat's.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::ContainerConfig;

use super::World;
use super::world::refused;
use crate::{ContainerState, Desired, ForeignContainer, Observed, ObservedContainer, PortError, ResourceKey};

impl World {
    /// Creates a container as a person does, under a name of the engine. Its image is brought.
    ///
    /// # Errors
    /// If the image is not available, or the name is taken.
    pub fn create_foreign(
        &mut self,
        name: &str,
        image: &str,
        config: &ContainerConfig,
        state: ContainerState,
    ) -> Result<(), PortError> {
        if self.foreign.contains_key(name) {
            return Err(refused(format!("container {name} is there already")));
        }
        let image_id = self.bring_image(image)?;
        self.next_id += 1;
        let alive = matches!(state, ContainerState::Running | ContainerState::Paused);
        let container = ObservedContainer {
            id: format!("container-{}", self.next_id),
            image: image.to_owned(),
            image_id,
            config: config.clone(),
            state,
            pid: u32::try_from(self.next_id).ok().filter(|_| alive),
            started_at: alive.then_some(self.now()),
            exit: None,
            address: None,
            ports: config.ports.clone(),
        };
        self.foreign.insert(name.to_owned(), container.into());
        Ok(())
    }

    /// Everything there is, with what these specs take over.
    pub fn observe_for(&self, desired: &Desired) -> Observed {
        let observed = self.observe();
        let foreign = self.find_foreign(&desired.adoptable(&observed));
        Observed { foreign, ..observed }
    }

    /// What is there under these names and not homeostat's.
    pub fn find_foreign(&self, names: &BTreeSet<String>) -> BTreeMap<String, ForeignContainer> {
        let found = self.foreign.iter().filter(|(name, _)| names.contains(*name));
        found.map(|(name, container)| (name.clone(), container.clone())).collect()
    }

    /// What is there under a name and not homeostat's, to be changed.
    pub fn foreign_mut(&mut self, name: &str) -> Option<&mut ForeignContainer> {
        self.foreign.get_mut(name)
    }

    /// Makes a container homeostat's.
    ///
    /// # Errors
    /// If there is none with this id, or another one under the key.
    pub fn adopt_container(&mut self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        if let Some(there) = self.observed.containers.get(key) {
            let same = there.id == id;
            return if same { Ok(()) } else { Err(refused(format!("container {key} is there already"))) };
        }
        let name =
            self.foreign.iter().find(|(_, there)| there.container.id == id).map(|(name, _)| name.clone());
        let Some(there) = name.and_then(|name| self.foreign.remove(&name)) else {
            return Err(refused(format!("there is no container {id}")));
        };
        self.starts.insert(key.clone(), self.up);
        self.observed.containers.insert(key.clone(), there.container);
        Ok(())
    }
}
