//! What containers need before they are created: images, files of the source, volumes.

use homeostat_spec::{App, Container, Image, MountSource, PullPolicy};

use super::{Node, Planner};
use crate::desired::{declared_reference, image_reference};
use crate::{Action, Cause, ResourceId, ResourceKey, ResourceKind, WaitReason};

/// Where something stands that containers need.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// It is here.
    Here,
    /// A step of this plan brings it.
    Made(Node),
    /// It is not here and no step brings it.
    Missing(ResourceId),
}

impl Planner<'_> {
    pub(super) fn provide_needs(&mut self) {
        for app in self.desired.apps.values() {
            self.provide_images(app);
            self.provide_files(app);
            self.provide_volumes(app);
        }
    }

    fn provide(&mut self, resource: ResourceId, here: bool, action: Action) -> Need {
        if here {
            Need::Here
        } else if self.backs_off(&resource) {
            Need::Missing(resource)
        } else {
            Need::Made(self.graph.add(resource, action, Cause::Missing, []))
        }
    }

    fn provide_images(&mut self, app: &App) {
        for (name, image) in &app.images {
            let reference = declared_reference(&app.name, name, image);
            match image {
                Image::Reference(_) => self.provide_reference(reference),
                Image::Build(build) => {
                    let key = ResourceKey::new(app.name.clone(), name.clone());
                    let here = self.observed.image(&reference).is_some();
                    let action = Action::BuildImage { reference: reference.clone(), build: build.clone() };
                    let need = self.provide(ResourceId::Declared(ResourceKind::Image, key), here, action);
                    self.images.insert(reference, need);
                }
            }
        }
        for container in app.containers.values() {
            self.provide_reference(image_reference(app, &container.image));
        }
    }

    fn provide_reference(&mut self, reference: String) {
        if self.images.contains_key(&reference) {
            return;
        }
        let here = self.observed.image(&reference).is_some();
        let is_asked = self.record.asked.get(&reference) == Some(&self.desired.revision);
        let resource = ResourceId::Image(reference.clone());
        let action = Action::PullImage { reference: reference.clone() };
        let need = match self.pull_policies.get(&reference) {
            Some(PullPolicy::Never) if !here => {
                self.wait(resource.clone(), WaitReason::NeverPulled, None);
                Need::Missing(resource)
            }
            Some(PullPolicy::Always) if here && !is_asked => self.ask_for_newer(resource, action),
            _ => self.provide(resource, here, action),
        };
        self.images.insert(reference, need);
    }

    /// An image that is here is asked for again. As long as that fails, it goes on with what is here.
    fn ask_for_newer(&mut self, resource: ResourceId, action: Action) -> Need {
        let Some(failure) = self.failure(&resource) else {
            return Need::Made(self.graph.add(resource, action, Cause::Newer, []));
        };
        let reason = WaitReason::NotAsked { message: failure.message.clone() };
        self.wait(resource, reason, Some(failure.retry_at));
        Need::Here
    }

    fn provide_files(&mut self, app: &App) {
        for mount in app.containers.values().flat_map(|container| &container.config.mounts) {
            let MountSource::Source(path) = &mount.source else { continue };
            if self.files.contains_key(&path.digest) {
                continue;
            }
            let here = self.observed.files.contains(&path.digest);
            let action = Action::ExportFile { path: path.clone() };
            let need = self.provide(ResourceId::File(path.digest.clone()), here, action);
            self.files.insert(path.digest.clone(), need);
        }
    }

    fn provide_volumes(&mut self, app: &App) {
        for (name, volume) in &app.volumes {
            let key = ResourceKey::new(app.name.clone(), name.clone());
            let here = self.observed.volumes.contains(&key);
            let action = Action::CreateVolume { volume: volume.clone() };
            let need = self.provide(ResourceId::Declared(ResourceKind::Volume, key.clone()), here, action);
            self.volumes.insert(key, need);
        }
    }

    /// The steps that bring a container's image, files and volumes.
    ///
    /// # Errors
    /// What is missing and no step brings.
    pub(super) fn supplies(&self, key: &ResourceKey, container: &Container) -> Result<Vec<Node>, ResourceId> {
        let mut nodes = Vec::new();
        let reference = self.desired.image_of(key).unwrap_or_default();
        let missing = || ResourceId::Image(reference.clone());
        take(self.images.get(&reference), missing, &mut nodes)?;
        for mount in &container.config.mounts {
            match &mount.source {
                MountSource::Source(path) => {
                    let missing = || ResourceId::File(path.digest.clone());
                    take(self.files.get(&path.digest), missing, &mut nodes)?;
                }
                MountSource::Volume(name) => {
                    let volume = ResourceKey::new(key.app.clone(), name.clone());
                    let missing = || ResourceId::Declared(ResourceKind::Volume, volume.clone());
                    take(self.volumes.get(&volume), missing, &mut nodes)?;
                }
                MountSource::Host(_) | MountSource::Tmpfs | MountSource::TmpfsWith(_) => {}
            }
        }
        Ok(nodes)
    }

    /// The steps that bring a container's networks: those that come at once, and those that only come after containers were
    /// removed.
    ///
    /// # Errors
    /// The first network that is missing and no step brings.
    pub(super) fn networks_of(
        &self,
        key: &ResourceKey,
        container: &Container,
    ) -> Result<(Vec<Node>, Vec<Node>), ResourceId> {
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for name in container.config.app_networks() {
            let network = ResourceKey::new(key.app.clone(), name.clone());
            let missing = || ResourceId::Declared(ResourceKind::Network, network.clone());
            let nodes = if self.late_networks.contains(&network) { &mut late } else { &mut early };
            take(self.networks.get(&network), missing, nodes)?;
        }
        Ok((early, late))
    }
}

/// Adds the step that brings a need. What is not declared at all (which the compiler refuses) is missing.
fn take(
    need: Option<&Need>,
    undeclared: impl Fn() -> ResourceId,
    nodes: &mut Vec<Node>,
) -> Result<(), ResourceId> {
    match need {
        Some(Need::Here) => Ok(()),
        Some(Need::Made(node)) => {
            nodes.push(*node);
            Ok(())
        }
        Some(Need::Missing(resource)) => Err(resource.clone()),
        None => Err(undeclared()),
    }
}
