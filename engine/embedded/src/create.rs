//! Creating and removing containers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use homeostat_files::{Root, sync_file_system, write_json_durably};
use homeostat_image::Image;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::ContainerRequest;
use homeostat_spec::{MountSource, Resources};
use jiff::Timestamp;

use crate::EmbeddedError;
use crate::container::Container;
use crate::copy_up::{Copy, copy_directories, copy_up, is_empty};
use crate::engine::Inner;
use crate::layout::{CONTAINER_FILE, VOLUME_DATA};
use crate::mounts::{anonymous_volume, anonymous_volumes};
use crate::networks::NetworkId;
use crate::process::{process, stop_signal};
use crate::record::{ContainerRecord, ImageDefaults};
use crate::staging::{Staged, discard, random_id};

/// Docker's least memory limit, in bytes: below it hardly anything starts.
const LEAST_MEMORY: u64 = 6 << 20;

impl Inner {
    /// Creates a container, unless it exists.
    pub(crate) fn create_container(&self, request: &ContainerRequest) -> Result<(), EmbeddedError> {
        // What is found in the store stays there until the container is known as its user.
        let _lease = self.images.lease();
        let found = self.find_image(&request.image)?;
        let image = found.ok_or_else(|| EmbeddedError::NoImage(request.image.clone()))?;
        if let Some(known) = self.find(&request.key) {
            return require_same(&known, request, &image);
        }
        let id = random_id()?;
        let record = record(request, &image);
        self.check(&record)?;
        let staged = Staged::create(&self.layout)?;
        let filled = self.fill(&staged, &record, &image)?;
        write_json_durably(staged.path().join(CONTAINER_FILE), &record)?;
        let container = Container::new(&self.layout, &self.instance, &id, record)?;
        fs::create_dir_all(self.layout.log(&request.key))?;
        self.put(container, staged, filled)
    }

    /// Makes a container that is ready, and the content of its new volumes, known to all at once.
    fn put(
        &self,
        container: Container,
        staged: Staged,
        filled: Vec<(Staged, PathBuf)>,
    ) -> Result<(), EmbeddedError> {
        let _changing = self.changing_volumes();
        if self.find(&container.key).is_some() {
            // Somebody else has created it meanwhile.
            return Err(EmbeddedError::Different(container.key));
        }
        let record = container.record();
        // A volume may have been removed meanwhile, or have got other content.
        self.mounts(&record, &container.directory)?;
        let still_new = self.new_volumes(&record)?;
        for (volume, data) in filled {
            if still_new.iter().any(|(_, new)| *new == data) {
                volume.put(&data)?;
            }
        }
        staged.put(&container.directory)?;
        self.insert(Arc::new(container));
        Ok(())
    }

    /// Refuses what could never be started.
    fn check(&self, record: &ContainerRecord) -> Result<(), EmbeddedError> {
        process(record)?;
        stop_signal(None, &record.defaults)?;
        self.mounts(record, self.layout.data())?;
        check_limits(&record.config.resources)?;
        match NetworkId::of(&record.key, &record.config.network) {
            Some(network) => self.networks.require(&network),
            None => Ok(()),
        }
    }

    /// Makes the directories of a container, and of its new named volumes the content: what the image has in their
    /// place.
    fn fill(
        &self,
        staged: &Staged,
        record: &ContainerRecord,
        image: &Image,
    ) -> Result<Vec<(Staged, PathBuf)>, EmbeddedError> {
        let layers = self.images.layer_directories(image)?;
        let copy = self.create_root(staged, &layers)?;
        let mut copies = Vec::new();
        for (number, target) in record.anonymous_volumes.iter().enumerate() {
            let destination = anonymous_volume(staged.path(), number);
            fs::create_dir_all(&destination)?;
            open_to_all(&destination)?;
            copies.push(Copy { source: target.clone(), destination });
        }
        let mut filled = Vec::new();
        for (target, data) in self.new_volumes(record)? {
            let volume = Staged::create(&self.layout)?;
            open_to_all(volume.path())?;
            copies.push(Copy { source: target, destination: volume.path().to_owned() });
            filled.push((volume, data));
        }
        if let Some(copy) = &copy {
            copy_directories(&Root::open(copy)?, &copies)?;
        } else if copies.is_empty() {
            return Ok(filled);
        } else {
            let view = Staged::create(&self.layout)?;
            copy_up(&layers, view.path(), &copies)?;
        }
        sync_file_system(self.layout.data())?;
        Ok(filled)
    }

    /// Where the named volumes of a container are mounted that are empty and used by no other, and their content.
    fn new_volumes(&self, record: &ContainerRecord) -> Result<Vec<(String, PathBuf)>, EmbeddedError> {
        let mut volumes: Vec<(String, PathBuf)> = Vec::new();
        for mount in &record.config.mounts {
            let MountSource::Volume(name) = &mount.source else { continue };
            let key = ResourceKey::new(record.key.app.clone(), name.clone());
            let data = self.layout.volume(&key).join(VOLUME_DATA);
            let twice = volumes.iter().any(|(_, other)| *other == data);
            if !twice && self.user_of(&key, Some(&record.key)).is_none() && is_empty(&data)? {
                volumes.push((mount.target.clone(), data));
            }
        }
        Ok(volumes)
    }

    /// Removes a container that does not run.
    pub(crate) fn remove_container(&self, key: &ResourceKey) -> Result<(), EmbeddedError> {
        let Some(container) = self.find(key) else { return Ok(()) };
        if container.live()?.is_some() {
            return Err(EmbeddedError::Running(key.clone()));
        }
        let networks = container.networks();
        self.mark_needed(&container.record());
        discard(&self.layout, &container.directory)?;
        self.forget(key);
        let disconnected = self.disconnect(key, &networks);
        // Last: who answers names may be in a control group beside those of containers.
        self.tidy_cgroups();
        disconnected
    }
}

fn require_same(known: &Container, request: &ContainerRequest, image: &Image) -> Result<(), EmbeddedError> {
    let record = known.record();
    let same = record.image == request.image
        && record.image_id == image.id.as_str()
        && record.config == request.config;
    if same { Ok(()) } else { Err(EmbeddedError::Different(request.key.clone())) }
}

/// What users of a container are to enter, whatever the engine's own umask is.
pub(crate) fn open_to_all(directory: &Path) -> Result<(), EmbeddedError> {
    Ok(fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?)
}

/// Refuses limits with which nothing runs.
pub(crate) fn check_limits(resources: &Resources) -> Result<(), EmbeddedError> {
    match resources.memory {
        Some(limit) if limit < LEAST_MEMORY => {
            Err(EmbeddedError::MemoryTooSmall { limit, least: LEAST_MEMORY })
        }
        _ => Ok(()),
    }
}

fn record(request: &ContainerRequest, image: &Image) -> ContainerRecord {
    let defaults = ImageDefaults::of(&image.config);
    ContainerRecord {
        key: request.key.clone(),
        image: request.image.clone(),
        image_id: image.id.to_string(),
        anonymous_volumes: anonymous_volumes(&defaults.volumes, &request.config.mounts),
        defaults,
        config: request.config.clone(),
        files: request.files.clone(),
        created_at: Timestamp::now(),
    }
}
