//! Named volumes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{disk_usage, read_json, write_json_durably};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::StoredVolume;
use homeostat_spec::{ContainerConfig, MountSource, Name, Volume};
use jiff::Timestamp;

use crate::EmbeddedError;
use crate::create::open_to_all;
use crate::engine::Inner;
use crate::layout::{VOLUME_DATA, VOLUME_FILE};
use crate::record::VolumeRecord;
use crate::staging::{Staged, discard};

/// The keys of the resources that have a directory each, as `DIRECTORY/APP/NAME`. What has no such name is not ours.
pub(crate) fn keys_beneath(directory: &Path) -> Result<BTreeSet<ResourceKey>, EmbeddedError> {
    let mut keys = BTreeSet::new();
    for app in names_in(directory)? {
        for name in names_in(&directory.join(app.as_str()))? {
            keys.insert(ResourceKey::new(app.clone(), name));
        }
    }
    Ok(keys)
}

fn names_in(directory: &Path) -> Result<Vec<Name>, EmbeddedError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().to_str().and_then(|name| name.parse().ok()));
        }
    }
    Ok(names)
}

/// Whether a container mounts a volume.
fn mounts(container: &ResourceKey, config: &ContainerConfig, volume: &ResourceKey) -> bool {
    container.app == volume.app
        && config
            .mounts
            .iter()
            .any(|mount| matches!(&mount.source, MountSource::Volume(name) if *name == volume.name))
}

impl Inner {
    /// Creates an empty volume, unless it exists.
    pub(crate) fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), EmbeddedError> {
        let _changing = self.changing_volumes();
        let directory = self.layout.volume(key);
        if directory.exists() {
            return Ok(());
        }
        let staged = Staged::create(&self.layout)?;
        let record = VolumeRecord { key: key.clone(), volume: volume.clone(), created_at: Timestamp::now() };
        fs::create_dir(staged.path().join(VOLUME_DATA))?;
        open_to_all(&staged.path().join(VOLUME_DATA))?;
        write_json_durably(staged.path().join(VOLUME_FILE), &record)?;
        staged.put(&directory)?;
        self.volumes().insert(key.clone());
        Ok(())
    }

    /// Every volume. One that is removed meanwhile takes nothing.
    pub(crate) fn stored_volumes(&self) -> Vec<StoredVolume> {
        // Known in a statement of its own: the lock is not held while they are measured.
        let known = self.volumes().clone();
        let stored = known.into_iter().map(|key| {
            let directory = self.layout.volume(&key);
            let record: Option<VolumeRecord> = read_json(directory.join(VOLUME_FILE)).ok().flatten();
            StoredVolume {
                path: Some(directory.join(VOLUME_DATA).to_string_lossy().into_owned()),
                created: record.map(|record| record.created_at),
                size: disk_usage(&directory).ok(),
                key,
            }
        });
        stored.collect()
    }

    /// Removes a volume that no container mounts, with its content.
    pub(crate) fn remove_volume(&self, key: &ResourceKey) -> Result<(), EmbeddedError> {
        let _changing = self.changing_volumes();
        if let Some(container) = self.user_of(key, None) {
            return Err(EmbeddedError::VolumeInUse { volume: key.clone(), container });
        }
        discard(&self.layout, &self.layout.volume(key))?;
        self.volumes().remove(key);
        Ok(())
    }

    /// A container that mounts the volume, other than the one given.
    pub(crate) fn user_of(&self, volume: &ResourceKey, except: Option<&ResourceKey>) -> Option<ResourceKey> {
        let containers = self.containers();
        let mut others = containers.iter().filter(|container| Some(&container.key) != except);
        others
            .find(|container| mounts(&container.key, &container.lock().record.config, volume))
            .map(|container| container.key.clone())
    }

    /// Where the content of a volume of an app is, if the volume exists.
    pub(crate) fn volume_data(&self, key: &ResourceKey) -> Result<PathBuf, EmbeddedError> {
        let data = self.layout.volume(key).join(VOLUME_DATA);
        if data.is_dir() { Ok(data) } else { Err(EmbeddedError::NoVolume(key.clone())) }
    }
}
