//! What is on the disk, and room on it.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use homeostat_files::disk_usage;
use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::{DiskSpace, DiskUsage, PruneRequest, Pruned, Taken};
use homeostat_spec::{DiskRule, PruneKind, PruneRule};

use crate::EmbeddedError;
use crate::engine::Inner;
use crate::prune::{Removed, volumes};

impl Inner {
    /// What there is. What is removed meanwhile takes nothing.
    pub(crate) fn disk_usage(&self) -> Result<DiskUsage, EmbeddedError> {
        let images = self.images.usage(&self.images_in_use(&BTreeSet::new()))?;
        let mut usage = DiskUsage {
            images: Taken {
                count: images.images,
                active: images.images_in_use,
                bytes: images.image_bytes,
                reclaimable: images.unused_image_bytes,
            },
            build_cache: Taken {
                count: images.cache_entries,
                active: 0,
                bytes: images.cache_bytes,
                reclaimable: images.cache_bytes,
            },
            disk: Some(self.disk_space()?),
            ..DiskUsage::default()
        };
        let mut used = BTreeSet::new();
        for container in self.containers() {
            let state = self.observe_container(&container).state;
            let is_alive = matches!(state, ContainerState::Running | ContainerState::Paused);
            usage.containers.add(is_alive, disk_usage(&container.directory).unwrap_or_default());
            used.extend(volumes(&container.record()));
        }
        // Known in a statement of its own: in the loop's head the lock would be held until the loop ends.
        let known = self.volumes().clone();
        for key in known {
            let bytes = disk_usage(self.layout.volume(&key)).unwrap_or_default();
            usage.volumes.add(used.contains(&key), bytes);
        }
        Ok(usage)
    }

    /// How full the disk with the images is.
    pub(crate) fn disk_space(&self) -> io::Result<DiskSpace> {
        let told = rustix::fs::statvfs(self.images.directory())?;
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        Ok(DiskSpace {
            used: bytes(told.f_blocks.saturating_sub(told.f_bfree)),
            available: bytes(told.f_bavail),
        })
    }

    /// Removes images and build cache that nobody needs, the longest unneeded first, until the disk is no fuller than it
    /// may be or nothing more can go.
    pub(crate) fn make_room(&self, request: &PruneRequest, rule: DiskRule) -> Result<Pruned, EmbeddedError> {
        let mut space = self.disk_space()?;
        let mut items = Vec::new();
        if space.fill() < rule.start() {
            return Ok(Pruned::of(items));
        }
        // What is freed is known only about, so that one age may not be enough.
        while let Some(age) = self.age_that_frees(space.excess(rule.stop()), request)? {
            let gone = self.prune_images(&aged(request, age), &Removed::default())?;
            let is_done = gone.is_empty() || request.dry_run;
            items.extend(gone);
            space = self.disk_space()?;
            if is_done || space.excess(rule.stop()) == 0 {
                break;
            }
        }
        let still_full = Some(space.fill()).filter(|fill| *fill >= rule.start() && !request.dry_run);
        Ok(Pruned { still_full, ..Pruned::of(items) })
    }

    /// The age from on which what nobody needs takes so many bytes; that of all if it takes fewer, and `None` if there
    /// is nothing.
    fn age_that_frees(&self, bytes: u64, request: &PruneRequest) -> Result<Option<Duration>, EmbeddedError> {
        let foreseen = PruneRequest { dry_run: true, ..aged(request, Duration::ZERO) };
        let mut items = self.prune_images(&foreseen, &Removed::default())?;
        items.sort_by_key(|item| std::cmp::Reverse(item.age_seconds));
        let mut freed = 0;
        let needed = items.iter().find(|item| {
            freed += item.bytes;
            freed >= bytes
        });
        Ok(needed.or(items.last()).map(|item| Duration::from_secs(item.age_seconds)))
    }
}

/// The same request for images and build cache of an age.
fn aged(request: &PruneRequest, age: Duration) -> PruneRequest {
    let kinds = [PruneKind::Image, PruneKind::BuildCache];
    PruneRequest {
        rules: kinds.map(|kind| (kind, PruneRule::older_than(age))).into(),
        room: None,
        ..request.clone()
    }
}
