//! What containers use, and the processes in them.

use std::collections::BTreeMap;

use homeostat_reconciler::ports::{ContainerProcess, Usage};
use homeostat_reconciler::{PortError, ResourceKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Service;

/// What all containers that run use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When it was measured.
    pub time: Timestamp,
    /// By container.
    pub containers: BTreeMap<ResourceKey, Usage>,
}

impl Service {
    /// `stats`: one look.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn usage(&self) -> Result<UsageReport, PortError> {
        let containers = self.engine.usage().await?;
        Ok(UsageReport { time: self.clock.now(), containers })
    }

    /// `top`.
    ///
    /// # Errors
    /// When the container does not run, and those of the engine.
    pub async fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, PortError> {
        self.engine.processes(key).await
    }
}
