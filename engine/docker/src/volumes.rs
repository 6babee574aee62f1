//! Volumes.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use homeostat_spec::{Adopt, ContainerConfig, MountSource, Volume};

use crate::cache::List;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::engine_name;

impl Inner {
    pub(crate) async fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("volume {key} cannot be created"));
        let name = match &volume.adopt {
            Some(Adopt::Named(name)) => name.clone(),
            Some(Adopt::ByName) | None => self.ledger.volume_name(key),
        };
        match (self.is_volume(key, &name).await.map_err(about)?, &volume.adopt) {
            (Some(true), _) => Ok(()),
            (Some(false), Some(_)) => {
                self.ledger.adopt_volume(key, &name)?;
                self.changed(List::Volumes);
                Ok(())
            }
            (Some(false), None) => {
                let message =
                    format!("volume {key} cannot be created: there is a volume {name} that is another one");
                Err(PortError::new(ErrorKind::User, message)
                    .with_hint("`adopt = true` takes it over with its content"))
            }
            (None, _) => {
                let request = VolumeCreateRequest {
                    name: Some(engine_name(key)),
                    labels: Some(self.instance.labels(key, &volume.labels)),
                    ..VolumeCreateRequest::default()
                };
                let api = self.api().await.map_err(about)?;
                let done = self.answer(api.create_volume(request)).await;
                self.changed(List::Volumes);
                done.map(drop).map_err(about)
            }
        }
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
                Ok(Some(labelled || self.ledger.volume(name).as_ref() == Some(key)))
            }
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}
