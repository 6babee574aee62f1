//! Volumes.

use std::collections::BTreeMap;

use bollard::models::{Volume as ApiVolume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use homeostat_reconciler::ports::StoredVolume;
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use homeostat_spec::{Adopt, ContainerConfig, MountSource, Volume};

use crate::cache::List;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::engine_name;
use crate::prune::SIZED;
use crate::read::time;
use crate::told;

impl Inner {
    pub(crate) async fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("volume {key} cannot be created"));
        for name in volume.adopt.as_ref().map_or(&[][..], Adopt::written) {
            if let Some(is_ours) = self.is_volume(key, name).await.map_err(about)? {
                return if is_ours { Ok(()) } else { self.take_volume(key, name) };
            }
        }
        let name = self.ledger.volume_name(key);
        let by_name = volume.adopt == Some(Adopt::ByName);
        match self.is_volume(key, &name).await.map_err(about)? {
            Some(true) => return Ok(()),
            Some(false) if by_name => return self.take_volume(key, &name),
            Some(false) => return Err(is_another(key, &name)),
            None => {}
        }
        // One that was adopted is gone: what is created has a name of its own, under which there may be another one.
        self.ledger.forget_volume(key)?;
        let name = engine_name(key);
        match self.is_volume(key, &name).await.map_err(about)? {
            Some(true) => return Ok(()),
            Some(false) => return Err(is_another(key, &name)),
            None => {}
        }
        let request = VolumeCreateRequest {
            name: Some(name),
            labels: Some(self.instance.labels(key, &volume.labels)),
            ..VolumeCreateRequest::default()
        };
        let api = self.api().await.map_err(about)?;
        let done = self.answer(api.create_volume(request)).await;
        self.changed(List::Volumes);
        done.map(drop).map_err(about)
    }

    /// Every volume of homeostat's; one that several apps have adopted, for each of them.
    pub(crate) async fn stored_volumes(&self) -> Result<Vec<StoredVolume>, Failure> {
        let api = self.api().await?;
        let told = self.hear_within(SIZED, told::disk_usage(&api, &self.endpoint, false)).await?;
        let measured = told.volumes.iter().flatten();
        let sizes: BTreeMap<&str, u64> = measured
            .filter_map(|volume| {
                let size = volume.usage_data.as_ref()?.size.try_into().ok()?;
                Some((volume.name.as_str(), size))
            })
            .collect();
        // What tells the sizes does not tell the labels at Podman.
        let listed = self.answer(api.list_volumes(None::<ListVolumesOptions>)).await?;
        let mut stored = Vec::new();
        for volume in listed.volumes.iter().flatten() {
            let created = volume.created_at.as_ref().map(ToString::to_string);
            stored.extend(self.owners_of(volume).map(|key| StoredVolume {
                key,
                path: Some(volume.mountpoint.clone()).filter(|path| !path.is_empty()),
                created: time(created.as_deref()),
                size: sizes.get(volume.name.as_str()).copied(),
            }));
        }
        stored.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(stored)
    }

    /// As which ones homeostat has a volume of the engine.
    pub(crate) fn owners_of(&self, volume: &ApiVolume) -> impl Iterator<Item = ResourceKey> {
        self.ledger.volumes(&volume.name).into_iter().chain(self.instance.owner(&volume.labels))
    }

    fn take_volume(&self, key: &ResourceKey, name: &str) -> Result<(), PortError> {
        self.ledger.adopt_volume(key, name)?;
        self.changed(List::Volumes);
        Ok(())
    }

    pub(crate) async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("volume {key} cannot be removed"));
        let name = self.ledger.volume_name(key);
        if self.is_volume(key, &name).await.map_err(about)? != Some(true) {
            return self.ledger.forget_volume(key);
        }
        let mounts_it = |container: &ContainerConfig| {
            let source = MountSource::Volume(key.name.clone());
            container.mounts.iter().any(|mount| mount.source == source)
        };
        if let Some(user) = self.user(&key.app, mounts_it).await.map_err(about)? {
            let message = format!("volume {key} cannot be removed: container {user} uses it");
            return Err(PortError::new(ErrorKind::User, message));
        }
        // The last app that has it removes it.
        if self.ledger.is_volume(key, &name) && self.ledger.volumes(&name).len() > 1 {
            self.ledger.forget_volume(key)?;
            self.changed(List::Volumes);
            return Ok(());
        }
        let api = self.api().await.map_err(about)?;
        let done = self.answer(api.remove_volume(&name, None::<RemoveVolumeOptions>)).await;
        self.changed(List::Volumes);
        match done {
            Err(failure) if !failure.is_not_found() => Err(about(failure)),
            _ => self.ledger.forget_volume(key),
        }
    }

    /// Whether the volume of that name is this one; `None` if there is none.
    async fn is_volume(&self, key: &ResourceKey, name: &str) -> Result<Option<bool>, Failure> {
        let api = self.api().await?;
        match self.answer(api.inspect_volume(name)).await {
            Ok(told) => {
                let labelled = self.instance.owner(&told.labels).as_ref() == Some(key);
                Ok(Some(labelled || self.ledger.is_volume(key, name)))
            }
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

fn is_another(key: &ResourceKey, name: &str) -> PortError {
    let message = format!("volume {key} cannot be created: there is a volume {name} that is another one");
    PortError::new(ErrorKind::User, message)
        .with_hint(format!("`adopt = \"{name}\"` takes it over with its content"))
}
