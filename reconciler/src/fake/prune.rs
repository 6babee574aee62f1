//! Pruning of a host in memory.

use std::collections::BTreeMap;

use homeostat_spec::PruneKind;

use super::World;
use crate::ContainerState;
use crate::ports::{DiskUsage, PruneRequest, Pruned, PrunedItem};

impl World {
    /// Removes what the request takes: exited containers, then the images and volumes that none of the others uses.
    /// Nothing here has labels but containers, and nothing is there that is not homeostat's.
    pub fn prune(&mut self, request: &PruneRequest) -> Pruned {
        let mut left = self.clone();
        let mut items = left.prune_containers(request);
        items.extend(left.prune_images(request));
        items.extend(left.prune_volumes(request));
        if !request.dry_run {
            *self = left;
        }
        Pruned::of(items)
    }

    /// What there is. Only images take anything here.
    pub fn disk_usage(&self) -> DiskUsage {
        let (mut usage, observed) = (DiskUsage::default(), self.observe());
        for image in observed.images.values() {
            let is_used = observed.containers.values().any(|container| container.image_id == image.id);
            usage.images.add(is_used, image.size);
        }
        for container in observed.containers.values() {
            let is_alive = matches!(container.state, ContainerState::Running | ContainerState::Paused);
            usage.containers.add(is_alive, 0);
        }
        usage.volumes.count = observed.volumes.len() as u64;
        usage
    }

    fn prune_containers(&mut self, request: &PruneRequest) -> Vec<PrunedItem> {
        let mut items = Vec::new();
        for (key, container) in self.observe().containers {
            if let Some(age) = request.takes_container(&key, &container)
                && self.remove_container(&key).is_ok()
            {
                items.push(PrunedItem::new(PruneKind::Container, key.to_string(), 0, age));
            }
        }
        items
    }

    fn prune_images(&mut self, request: &PruneRequest) -> Vec<PrunedItem> {
        let mut items = Vec::new();
        for (reference, image) in self.observe().images {
            let needed = self.needed_at(&reference);
            if let Some(age) = request.takes_image(&image.id, Some(&reference), &BTreeMap::new(), needed)
                && self.remove_image(&reference).is_ok()
            {
                items.push(PrunedItem::new(PruneKind::Image, reference, image.size, age));
            }
        }
        items
    }

    fn prune_volumes(&mut self, request: &PruneRequest) -> Vec<PrunedItem> {
        let mut items = Vec::new();
        for key in self.observe().volumes {
            let needed = self.needed_at(&key.to_string());
            if let Some(age) = request.takes_volume(&key, &BTreeMap::new(), needed)
                && self.remove_volume(&key).is_ok()
            {
                items.push(PrunedItem::new(PruneKind::Volume, key.to_string(), 0, age));
            }
        }
        items
    }
}
