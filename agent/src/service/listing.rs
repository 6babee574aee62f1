//! The list of containers.

use std::collections::BTreeMap;

use homeostat_reconciler::{ContainerStatus, PortError, ResourceKey};
use homeostat_spec::Name;
use serde::{Deserialize, Serialize};

use super::Service;

/// A line of `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerListing {
    /// The app that it belongs to.
    pub app: Name,
    /// As `status` tells of it.
    #[serde(flatten)]
    pub status: ContainerStatus,
    /// The engine's own id; `None` when it does not exist.
    pub id: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerListing {
    /// `APP/NAME`.
    pub fn key(&self) -> ResourceKey {
        ResourceKey::new(self.app.clone(), self.status.name.clone())
    }
}

impl Service {
    /// `ps`: every container that is declared or exists, by key.
    ///
    /// # Errors
    /// Those of [`Service::view`].
    pub async fn containers(&self) -> Result<Vec<ContainerListing>, PortError> {
        let view = self.view().await?;
        let apps = view.status(&self.engine.info()).apps;
        let statuses = apps
            .into_iter()
            .flat_map(|app| app.containers.into_iter().map(move |container| (app.name.clone(), container)));
        let listing = |(app, status): (Name, ContainerStatus)| {
            let key = ResourceKey::new(app.clone(), status.name.clone());
            let observed = view.observed.containers.get(&key);
            let declared = view.desired.container(&key).map(|container| &container.config);
            let labels = observed.map(|observed| &observed.config).or(declared);
            ContainerListing {
                app,
                status,
                id: observed.map(|observed| observed.id.clone()),
                labels: labels.map(|config| config.labels.clone()).unwrap_or_default(),
            }
        };
        Ok(statuses.map(listing).collect())
    }
}
