//! Volumes by hand: `volume ...`.

use homeostat_reconciler::ports::StoredVolume;
use homeostat_reconciler::{ErrorKind, Observed, PortError, ResourceKey};
use homeostat_spec::MountSource;
use serde::{Deserialize, Serialize};

use super::Service;

/// A volume, for `volume ls` and `volume inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeListing {
    /// As the engine tells of it.
    #[serde(flatten)]
    pub stored: StoredVolume,
    /// Containers that mount it, whether they run or not.
    pub used_by: Vec<ResourceKey>,
    /// Whether a spec, or a container that somebody runs by hand, asks for it.
    pub declared: bool,
}

impl Service {
    /// `volume ls`: every volume, by key.
    ///
    /// # Errors
    /// Those of the engine and of [`Service::view`].
    pub async fn volumes(&self) -> Result<Vec<VolumeListing>, PortError> {
        let desired = self.view().await?.desired;
        let observed = self.engine.observe().await?;
        let stored = self.engine.volumes().await?;
        let listing = |stored: StoredVolume| VolumeListing {
            used_by: users(&stored.key, &observed),
            declared: desired.declares_volume(&stored.key),
            stored,
        };
        Ok(stored.into_iter().map(listing).collect())
    }

    /// `volume rm`: removes a volume with its content, unless a container has it or it is asked for.
    ///
    /// # Errors
    /// When there is no such volume, when it is needed, and those of the engine.
    pub async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        let refused = |message: String| PortError::new(ErrorKind::User, message);
        if !self.engine.observe().await?.volumes.contains(key) {
            return Err(
                refused(format!("there is no volume {key}")).with_hint("`homeostat volume ls` lists them")
            );
        }
        if self.view().await?.desired.declares_volume(key) {
            return Err(refused(format!("volume {key} is declared: it would be made anew, and be empty"))
                .with_hint("take it out of its spec first"));
        }
        self.engine.remove_volume(key).await
    }
}

fn users(volume: &ResourceKey, observed: &Observed) -> Vec<ResourceKey> {
    let source = MountSource::Volume(volume.name.clone());
    let of_app = observed.containers.iter().filter(|(key, _)| key.app == volume.app);
    let users =
        of_app.filter(|(_, container)| container.config.mounts.iter().any(|mount| mount.source == source));
    users.map(|(key, _)| key.clone()).collect()
}
