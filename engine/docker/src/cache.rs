//! What the engine has told and what still holds, so that a look at a host on which nothing happens asks for no more
//! than the list of containers.
//!
//! Only while the engine's events are followed is anything kept: an event, and whatever is asked for through this
//! crate, makes the engine be asked again. An answer that was on its way when that happened is not kept either.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use homeostat_reconciler::{ObservedImage, ResourceKey};
use homeostat_spec::Network;

use crate::read::{ImageDefaults, Seen};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    is_followed: bool,
    /// Grows with everything that is forgotten.
    changes: u64,
    /// When everything was last forgotten.
    begun: u64,
    containers: HashMap<String, Arc<Seen>>,
    /// When a container was last forgotten.
    forgotten: HashMap<String, u64>,
    defaults: HashMap<String, Arc<ImageDefaults>>,
    pub(crate) images: Kept<BTreeMap<String, ObservedImage>>,
    pub(crate) volumes: Kept<Vec<ResourceKey>>,
    pub(crate) networks: Kept<BTreeMap<ResourceKey, Network>>,
}

/// An answer, while it holds.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    value: Option<T>,
    forgotten: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { value: None, forgotten: 0 }
    }
}

impl<T: Clone> Kept<T> {
    pub(crate) fn get(&self) -> Option<T> {
        self.value.clone()
    }

    fn keep(&mut self, moment: u64, value: &T) {
        if moment >= self.forgotten {
            self.value = Some(value.clone());
        }
    }
}

/// Which list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Images,
    Volumes,
    Networks,
}

impl Cache {
    /// Nothing that was told before holds. From now on answers are kept if `is_followed`.
    pub(crate) fn begin(&mut self, is_followed: bool) {
        let now = self.changes + 1;
        *self = Self { is_followed, changes: now, begun: now, ..Self::default() };
    }

    /// The moment before a question, to be given with its answer.
    pub(crate) fn moment(&self) -> u64 {
        self.changes
    }

    pub(crate) fn container(&self, id: &str) -> Option<Arc<Seen>> {
        self.containers.get(id).cloned()
    }

    pub(crate) fn container_id(&self, key: &ResourceKey) -> Option<String> {
        let known = self.containers.iter().find(|(_, seen)| seen.key.as_ref() == Some(key));
        known.map(|(id, _)| id.clone())
    }

    pub(crate) fn keep_container(&mut self, moment: u64, id: &str, seen: &Arc<Seen>) {
        let forgotten = self.forgotten.get(id).copied().unwrap_or_default();
        if self.keeps(moment) && moment >= forgotten {
            self.containers.insert(id.to_owned(), Arc::clone(seen));
        }
    }

    /// Whether answers to what was asked then are kept at all.
    fn keeps(&self, moment: u64) -> bool {
        self.is_followed && moment >= self.begun
    }

    pub(crate) fn forget_container(&mut self, id: &str) {
        self.changes += 1;
        self.containers.remove(id);
        self.forgotten.insert(id.to_owned(), self.changes);
    }

    /// Forgets containers that are not there any more.
    pub(crate) fn retain_containers(&mut self, is_there: impl Fn(&str) -> bool) {
        self.containers.retain(|id, _| is_there(id));
        self.forgotten.retain(|id, _| is_there(id));
    }

    pub(crate) fn forget(&mut self, list: List) {
        self.changes += 1;
        match list {
            List::Images => self.images = Kept { value: None, forgotten: self.changes },
            List::Volumes => self.volumes = Kept { value: None, forgotten: self.changes },
            List::Networks => self.networks = Kept { value: None, forgotten: self.changes },
        }
    }

    pub(crate) fn keep_images(&mut self, moment: u64, images: &BTreeMap<String, ObservedImage>) {
        if self.keeps(moment) {
            self.images.keep(moment, images);
        }
    }

    pub(crate) fn keep_volumes(&mut self, moment: u64, volumes: &Vec<ResourceKey>) {
        if self.keeps(moment) {
            self.volumes.keep(moment, volumes);
        }
    }

    pub(crate) fn keep_networks(&mut self, moment: u64, networks: &BTreeMap<ResourceKey, Network>) {
        if self.keeps(moment) {
            self.networks.keep(moment, networks);
        }
    }

    /// What an image says; that never changes.
    pub(crate) fn defaults(&self, image_id: &str) -> Option<Arc<ImageDefaults>> {
        self.defaults.get(image_id).cloned()
    }

    pub(crate) fn keep_defaults(&mut self, image_id: &str, defaults: &Arc<ImageDefaults>) {
        self.defaults.insert(image_id.to_owned(), Arc::clone(defaults));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_while_events_are_not_followed() {
        let mut cache = Cache::default();
        cache.keep_volumes(cache.moment(), &Vec::new());
        assert_eq!(cache.volumes.get(), None);
        cache.begin(true);
        cache.keep_volumes(cache.moment(), &Vec::new());
        assert_eq!(cache.volumes.get(), Some(Vec::new()));
        cache.begin(false);
        assert_eq!(cache.volumes.get(), None);
    }

    #[test]
    fn an_answer_that_was_on_its_way_when_something_happened_is_not_kept() {
        let mut cache = Cache::default();
        cache.begin(true);
        let asked = cache.moment();
        cache.forget(List::Volumes);
        cache.keep_volumes(asked, &Vec::new());
        assert_eq!(cache.volumes.get(), None);
        cache.keep_networks(asked, &BTreeMap::new());
        assert!(cache.networks.get().is_some(), "what happened to volumes is nothing to networks");
        cache.begin(true);
        cache.keep_networks(asked, &BTreeMap::new());
        assert_eq!(cache.networks.get(), None);
    }
}
