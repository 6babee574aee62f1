//! Pruning: what nobody needs, and how long nobody has.
//!
//! When something was last needed is the time of the last change of the file that describes it: an image's manifest and
//! a volume's record are touched when a container that uses them is removed; a cache entry when a build uses it. A
//! container that exited knows when. Anonymous volumes are part of their container, and go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use homeostat_files::{disk_usage, read_json};
use homeostat_image::{Digest, Needs, Prune, Unused};
use homeostat_reconciler::ports::{PruneRequest, Pruned, PrunedItem};
use homeostat_reconciler::{PortError, ResourceKey, chain};
use homeostat_spec::{MountSource, PruneKind, PruneRule};
use jiff::Timestamp;

use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;
use crate::layout::VOLUME_FILE;
use crate::record::{ContainerRecord, VolumeRecord};
use crate::staging::discard;
use crate::volumes::keys_beneath;

/// The containers that a prune removes. What only they need was needed just now.
#[derive(Default)]
pub(crate) struct Removed {
    keys: BTreeSet<ResourceKey>,
    images: BTreeSet<Digest>,
    volumes: BTreeSet<ResourceKey>,
}

impl Inner {
    /// Removes what the request takes. What cannot be removed, as since it is needed meanwhile, stays, and is logged.
    pub(crate) fn prune(&self, request: &PruneRequest) -> Result<Pruned, EmbeddedError> {
        let mut items = if request.rules.is_empty() { Vec::new() } else { self.prune_by_rules(request)? };
        let Some(rule) = request.room else { return Ok(Pruned::of(items)) };
        let made = self.make_room(request, rule)?;
        items.extend(made.items);
        Ok(Pruned { still_full: made.still_full, ..Pruned::of(items) })
    }

    fn prune_by_rules(&self, request: &PruneRequest) -> Result<Vec<PrunedItem>, EmbeddedError> {
        let mut removed = Removed::default();
        let mut items = Vec::new();
        for container in self.containers() {
            items.extend(told(&container.key, self.prune_container(&container, request, &mut removed)));
        }
        items.extend(self.prune_images(request, &removed)?);
        // Known in a statement of its own: in the loop's head the lock would be held until the loop ends.
        let volumes = self.volumes().clone();
        for key in volumes {
            items.extend(told(&key, self.prune_volume(&key, request, &removed)));
        }
        for key in keys_beneath(&self.layout.logs())? {
            items.extend(told(&key, self.prune_log(&key, request, &removed)));
        }
        Ok(items)
    }

    fn prune_container(
        &self,
        container: &Container,
        request: &PruneRequest,
        removed: &mut Removed,
    ) -> Result<Option<PrunedItem>, EmbeddedError> {
        let key = &container.key;
        let Some(age) = request.takes_container(key, &self.observe_container(container)) else {
            return Ok(None);
        };
        let bytes = disk_usage(&container.directory)?;
        if !request.dry_run {
            self.remove_container(key)?;
        }
        removed.add(&container.record());
        Ok(Some(PrunedItem::new(PruneKind::Container, key.to_string(), bytes, age)))
    }

    /// Images and build cache share layers: what of them goes is found at once.
    pub(crate) fn prune_images(
        &self,
        request: &PruneRequest,
        removed: &Removed,
    ) -> Result<Vec<PrunedItem>, EmbeddedError> {
        let rule = |kind| request.rules.get(&kind);
        if rule(PruneKind::Image).is_none() && rule(PruneKind::BuildCache).is_none() {
            return Ok(Vec::new());
        }
        let keep_cache_for = rule(PruneKind::BuildCache).map_or(Duration::MAX, PruneRule::age);
        let prune = Prune { keep_cache_for, now: request.now, dry_run: request.dry_run };
        let pruned = self.images.prune(&prune, &Needed { engine: self, request, removed })?;
        let images = pruned.images.iter().map(|image| {
            let name = image.reference.clone().unwrap_or_else(|| image.id.to_string());
            let needed = needed(removed.images.contains(&image.id), image.used, request);
            PrunedItem::new(PruneKind::Image, name, image.bytes, age(needed, request.now))
        });
        let cache = pruned.cache.iter().map(|entry| {
            PrunedItem::new(PruneKind::BuildCache, &*entry.key, entry.bytes, age(entry.used, request.now))
        });
        // Layers that a build which failed has left, and such.
        let leftover = (pruned.leftover > 0)
            .then(|| PrunedItem::new(PruneKind::BuildCache, "leftover", pruned.leftover, Duration::ZERO));
        Ok(images.chain(cache).chain(leftover).collect())
    }

    fn prune_volume(
        &self,
        key: &ResourceKey,
        request: &PruneRequest,
        removed: &Removed,
    ) -> Result<Option<PrunedItem>, EmbeddedError> {
        let file = self.layout.volume(key).join(VOLUME_FILE);
        let Some(record) = read_json::<VolumeRecord>(&file)? else { return Ok(None) };
        let needed = needed(removed.volumes.contains(key), last_change(&file)?, request);
        let Some(age) = request.takes_volume(key, &record.volume.labels, needed) else { return Ok(None) };
        let uses = |container: &Arc<Container>| {
            !removed.keys.contains(&container.key) && volumes(&container.record()).any(|used| used == *key)
        };
        if self.containers().iter().any(uses) {
            return Ok(None);
        }
        let bytes = disk_usage(self.layout.volume(key))?;
        if !request.dry_run {
            self.remove_volume(key)?;
        }
        Ok(Some(PrunedItem::new(PruneKind::Volume, key.to_string(), bytes, age)))
    }

    /// A log of a container that is no more. One that is declared will be again.
    fn prune_log(
        &self,
        key: &ResourceKey,
        request: &PruneRequest,
        removed: &Removed,
    ) -> Result<Option<PrunedItem>, EmbeddedError> {
        let by_removed = removed.keys.contains(key);
        if (self.find(key).is_some() && !by_removed) || request.keep.container(key) {
            return Ok(None);
        }
        let (directory, name) = (self.layout.log(key), key.to_string());
        let needed = needed(by_removed, homeostat_log::last_written(&directory)?, request);
        let Some(age) = request.takes(PruneKind::Log, Some(&name), &BTreeMap::new(), needed) else {
            return Ok(None);
        };
        let bytes = disk_usage(&directory)?;
        if !request.dry_run {
            discard(&self.layout, &directory)?;
        }
        Ok(Some(PrunedItem::new(PruneKind::Log, name, bytes, age)))
    }

    /// Notes that what a container needed was needed until now.
    pub(crate) fn mark_needed(&self, record: &ContainerRecord) {
        if let Ok(id) = record.image_id.parse() {
            self.images.mark_used(&id);
        }
        for volume in volumes(record) {
            let file = self.layout.volume(&volume).join(VOLUME_FILE);
            if let Err(error) = homeostat_files::mark_used(file) {
                tracing::debug!(%volume, %error, "cannot note the use of a volume");
            }
        }
    }
}

impl Removed {
    fn add(&mut self, record: &ContainerRecord) {
        self.keys.insert(record.key.clone());
        self.images.extend(record.image_id.parse().ok());
        self.volumes.extend(volumes(record));
    }
}

/// When something was last needed: just now, if by a container that goes with this prune.
fn needed(by_removed: bool, known: Timestamp, request: &PruneRequest) -> Timestamp {
    if by_removed { request.now } else { known }
}

/// What was removed; what could not be is told to the log.
fn told(key: &ResourceKey, pruned: Result<Option<PrunedItem>, EmbeddedError>) -> Option<PrunedItem> {
    pruned.unwrap_or_else(|error| {
        tracing::warn!(%key, error = chain(&PortError::from(error)), "it cannot be pruned");
        None
    })
}

/// What the request keeps of the images that no container uses.
struct Needed<'a> {
    engine: &'a Inner,
    request: &'a PruneRequest,
    removed: &'a Removed,
}

impl Needs for Needed<'_> {
    fn in_use(&self) -> BTreeSet<Digest> {
        self.engine.images_in_use(&self.removed.keys)
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        let needed = needed(self.removed.images.contains(image.id), image.used, self.request);
        self.request.takes_image(image.id.as_str(), image.reference, image.labels, needed).is_none()
    }
}

/// The named volumes that a container mounts.
pub(crate) fn volumes(record: &ContainerRecord) -> impl Iterator<Item = ResourceKey> {
    let named = record.config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name.clone()),
        _ => None,
    });
    named.map(|name| ResourceKey::new(record.key.app.clone(), name))
}

/// A clock that was set back makes it look as if in the future: then it is just now.
fn age(needed: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(needed)).unwrap_or_default()
}

fn last_change(file: &Path) -> Result<Timestamp, EmbeddedError> {
    Ok(Timestamp::try_from(fs::metadata(file)?.modified()?).unwrap_or_default())
}
