//! What labels cannot say, in a file: what was adopted (labels of what exists cannot be changed), which images were
//! brought here, and until when images and volumes were needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use homeostat_files::{read_json, write_json_durably};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{engine_name, resource_called};

/// The file in the data directory.
const FILE: &str = "ledger.json";

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    entries: Mutex<Entries>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Entries {
    /// By the engine's id.
    containers: BTreeMap<String, ResourceKey>,
    /// The engine's names.
    volumes: BTreeMap<ResourceKey, String>,
    /// The engine's names.
    networks: BTreeMap<ResourceKey, String>,
    /// Until when images were needed, by id.
    images: BTreeMap<String, Needed>,
    /// Until when volumes were needed, by the engine's name.
    volumes_needed: BTreeMap<String, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Needed {
    until: Timestamp,
    /// The references under which homeostat has pulled or built it. Others may have given it more.
    #[serde(default)]
    brought_as: BTreeSet<String>,
}

impl Entries {
    /// What is known of an image that was needed until now.
    fn image(&mut self, id: &str, now: Timestamp) -> &mut Needed {
        let unknown = Needed { until: now, brought_as: BTreeSet::new() };
        let needed = self.images.entry(id.to_owned()).or_insert(unknown);
        needed.until = now;
        needed
    }
}

/// As many images and volumes are remembered; the longest unneeded ones are forgotten first.
const REMEMBERED: usize = 1000;

impl Ledger {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn open(data_directory: &Path) -> Result<Self, PortError> {
        let path = data_directory.join(FILE);
        let entries = read_json(&path).map_err(|error| {
            PortError::new(ErrorKind::Config, "the record of what was adopted cannot be read")
                .caused_by(error)
                .with_hint("without it adopted containers would be taken for somebody else's: move it away to begin anew")
        })?;
        let entries = Mutex::new(entries.unwrap_or_default());
        Ok(Self { path, entries })
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the entries on disk first, so that nobody acts on what a power cut takes back.
    fn change(&self, change: impl FnOnce(&mut Entries)) -> Result<(), PortError> {
        let mut entries = self.lock();
        let mut changed = entries.clone();
        change(&mut changed);
        if changed != *entries {
            write_json_durably(&self.path, &changed).map_err(|error| {
                PortError::new(ErrorKind::Transient, "what is adopted cannot be recorded").caused_by(error)
            })?;
            *entries = changed;
        }
        Ok(())
    }

    /// The container that was adopted under this id.
    pub(crate) fn container(&self, id: &str) -> Option<ResourceKey> {
        self.lock().containers.get(id).cloned()
    }

    /// The id of the container that was adopted as this one.
    pub(crate) fn container_id(&self, key: &ResourceKey) -> Option<String> {
        self.lock().containers.iter().find(|(_, adopted)| *adopted == key).map(|(id, _)| id.clone())
    }

    pub(crate) fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        self.change(|entries| drop(entries.containers.insert(id.to_owned(), key.clone())))
    }

    pub(crate) fn forget_container(&self, id: &str) -> Result<(), PortError> {
        self.change(|entries| drop(entries.containers.remove(id)))
    }

    /// Homeostat has pulled or built an image.
    pub(crate) fn brought(&self, id: &str, reference: String, now: Timestamp) -> Result<(), PortError> {
        self.change(|entries| {
            entries.image(id, now).brought_as.insert(reference);
            forget_oldest(&mut entries.images, |needed| needed.until);
        })
    }

    /// Whether homeostat has brought an image here, and under which references.
    pub(crate) fn brought_as(&self, id: &str) -> BTreeSet<String> {
        self.lock().images.get(id).map(|needed| needed.brought_as.clone()).unwrap_or_default()
    }

    /// An image and volumes were needed until now.
    pub(crate) fn needed(&self, image: &str, volumes: Vec<String>, now: Timestamp) -> Result<(), PortError> {
        self.change(|entries| {
            entries.image(image, now);
            entries.volumes_needed.extend(volumes.into_iter().map(|volume| (volume, now)));
            forget_oldest(&mut entries.images, |needed| needed.until);
            forget_oldest(&mut entries.volumes_needed, |needed| *needed);
        })
    }

    pub(crate) fn image_needed(&self, id: &str) -> Option<Timestamp> {
        self.lock().images.get(id).map(|needed| needed.until)
    }

    pub(crate) fn volume_needed(&self, name: &str) -> Option<Timestamp> {
        self.lock().volumes_needed.get(name).copied()
    }

    /// The name of a volume at the engine.
    pub(crate) fn volume_name(&self, key: &ResourceKey) -> String {
        self.lock().volumes.get(key).cloned().unwrap_or_else(|| engine_name(key))
    }

    /// As which volumes the one of this name was adopted: apps may share it.
    pub(crate) fn volumes(&self, name: &str) -> Vec<ResourceKey> {
        keys_of(&self.lock().volumes, name)
    }

    /// Which volumes have this name, if they are there: those that were adopted, and the one that would be called so.
    pub(crate) fn volumes_called(&self, name: &str) -> Vec<ResourceKey> {
        let by_name = resource_called(name).filter(|key| self.volume_name(key) == name);
        self.volumes(name).into_iter().chain(by_name).collect()
    }

    /// Whether a volume was adopted under this name.
    pub(crate) fn is_volume(&self, key: &ResourceKey, name: &str) -> bool {
        self.lock().volumes.get(key).is_some_and(|adopted| adopted == name)
    }

    pub(crate) fn adopt_volume(&self, key: &ResourceKey, name: &str) -> Result<(), PortError> {
        self.change(|entries| drop(entries.volumes.insert(key.clone(), name.to_owned())))
    }

    pub(crate) fn forget_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.change(|entries| drop(entries.volumes.remove(key)))
    }

    /// The name of a network at the engine.
    pub(crate) fn network_name(&self, key: &ResourceKey) -> String {
        self.lock().networks.get(key).cloned().unwrap_or_else(|| engine_name(key))
    }

    /// As which networks the one of this name was adopted: apps may share it.
    pub(crate) fn networks(&self, name: &str) -> Vec<ResourceKey> {
        keys_of(&self.lock().networks, name)
    }

    /// Which networks have this name, if they are there: those that were adopted, and the one that would be called so.
    pub(crate) fn networks_called(&self, name: &str) -> Vec<ResourceKey> {
        let by_name = resource_called(name).filter(|key| self.network_name(key) == name);
        self.networks(name).into_iter().chain(by_name).collect()
    }

    /// Whether a network was adopted under this name.
    pub(crate) fn is_network(&self, key: &ResourceKey, name: &str) -> bool {
        self.lock().networks.get(key).is_some_and(|adopted| adopted == name)
    }

    pub(crate) fn adopt_network(&self, key: &ResourceKey, name: &str) -> Result<(), PortError> {
        self.change(|entries| drop(entries.networks.insert(key.clone(), name.to_owned())))
    }

    pub(crate) fn forget_network(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.change(|entries| drop(entries.networks.remove(key)))
    }
}

fn keys_of(adopted: &BTreeMap<ResourceKey, String>, name: &str) -> Vec<ResourceKey> {
    adopted.iter().filter(|(_, own)| *own == name).map(|(key, _)| key.clone()).collect()
}

fn forget_oldest<T>(entries: &mut BTreeMap<String, T>, until: impl Fn(&T) -> Timestamp) {
    while entries.len() > REMEMBERED {
        let oldest = entries.iter().min_by_key(|(_, entry)| until(entry)).map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return };
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_adopted_is_known_after_a_restart_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let key: ResourceKey = "web/db".parse().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        ledger.adopt_container(&key, "abc").unwrap();
        ledger.adopt_volume(&key, "pgdata").unwrap();
        let again = Ledger::open(directory.path()).unwrap();
        assert_eq!(again.container("abc"), Some(key.clone()));
        assert_eq!(again.container_id(&key).as_deref(), Some("abc"));
        assert_eq!(
            (again.volume_name(&key), again.volumes("pgdata")),
            ("pgdata".to_owned(), vec![key.clone()])
        );
        assert_eq!((again.network_name(&key), again.networks("pgdata")), ("web_db".to_owned(), Vec::new()));
        again.forget_container("abc").unwrap();
        assert_eq!(Ledger::open(directory.path()).unwrap().container("abc"), None);
    }

    #[test]
    fn what_apps_share_is_known_as_the_one_of_each() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let keys: Vec<ResourceKey> = ["api/media", "web/media"].map(|key| key.parse().unwrap()).to_vec();
        for key in &keys {
            ledger.adopt_volume(key, "media").unwrap();
        }
        assert_eq!(ledger.volumes("media"), keys);
        ledger.forget_volume(&keys[0]).unwrap();
        assert!(!ledger.is_volume(&keys[0], "media") && ledger.is_volume(&keys[1], "media"));
    }

    #[test]
    fn a_damaged_file_is_told_and_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join(FILE), "{").unwrap();
        Ledger::open(directory.path()).unwrap_err();
        assert_eq!(fs_err::read_to_string(directory.path().join(FILE)).unwrap(), "{");
    }
}
