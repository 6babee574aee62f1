//! What nobody needs any more: volumes, networks, images and files, after the containers that used them.

use std::collections::BTreeSet;

use homeostat_spec::MountSource;

use super::{Node, Planner};
use crate::desired::builder_of;
use crate::{Action, Cause, ObservedContainer, ResourceId, ResourceKey, ResourceKind};

impl Planner<'_> {
    pub(super) fn prune(&mut self) {
        self.prune_volumes();
        self.prune_networks();
        self.prune_images();
        self.prune_files();
    }

    fn prune_volumes(&mut self) {
        let record = self.record;
        for key in &record.volumes_not_retained {
            let declared = self.volumes.contains_key(key);
            if declared || self.is_protected(key) || !self.observed.volumes.contains(key) {
                continue;
            }
            let uses = |user: &ResourceKey, container: &ObservedContainer| {
                user.app == key.app
                    && mounts(container)
                        .any(|source| matches!(source, MountSource::Volume(name) if *name == key.name))
            };
            let resource = ResourceId::Declared(ResourceKind::Volume, key.clone());
            self.remove_after_users(resource, Action::RemoveVolume, Cause::NotDeclared, uses);
        }
    }

    fn prune_networks(&mut self) {
        for key in self.undeclared_networks() {
            let used = self.users_of_network(&key).iter().any(|user| !self.removals.contains_key(user));
            let resource = ResourceId::Declared(ResourceKind::Network, key.clone());
            // One that makes room for another is in the plan already.
            if !used && (self.network_removals.contains_key(&key) || !self.backs_off(&resource)) {
                self.remove_network(&key, Cause::NotDeclared);
            }
        }
        for (network, removal) in self.network_removals.clone() {
            for user in self.users_of_network(&network) {
                if let Some(node) = self.removals.get(&user) {
                    self.graph.order(*node, removal);
                }
            }
        }
    }

    fn prune_images(&mut self) {
        let observed = self.observed;
        for reference in observed.images.keys() {
            let Some(app) = builder_of(reference) else { continue };
            if self.images.contains_key(reference) || self.desired.broken.contains_key(app) {
                continue;
            }
            let uses = |_: &ResourceKey, container: &ObservedContainer| container.image == *reference;
            let action = Action::RemoveImage { reference: reference.clone() };
            self.remove_after_users(ResourceId::Image(reference.clone()), action, Cause::Unused, uses);
        }
    }

    fn prune_files(&mut self) {
        let observed = self.observed;
        for digest in &observed.files {
            if self.files.contains_key(digest) {
                continue;
            }
            let uses = |_: &ResourceKey, container: &ObservedContainer| {
                mounts(container)
                    .any(|source| matches!(source, MountSource::Source(path) if path.digest == *digest))
            };
            let action = Action::RemoveFile { digest: digest.clone() };
            self.remove_after_users(ResourceId::File(digest.clone()), action, Cause::Unused, uses);
        }
    }

    /// Removes a resource after the containers that use it, if all of those are removed in this plan.
    fn remove_after_users(
        &mut self,
        resource: ResourceId,
        action: Action,
        cause: Cause,
        uses: impl Fn(&ResourceKey, &ObservedContainer) -> bool,
    ) {
        let in_use = self.observed.containers.iter().filter(|(key, container)| uses(key, container));
        let removals: Option<BTreeSet<Node>> =
            in_use.map(|(key, _)| self.removals.get(key).copied()).collect();
        if let Some(removals) = removals
            && !self.backs_off(&resource)
        {
            self.graph.add(resource, action, cause, removals);
        }
    }
}

fn mounts(container: &ObservedContainer) -> impl Iterator<Item = &MountSource> {
    container.config.mounts.iter().map(|mount| &mount.source)
}
