//! The files of containers.

use homeostat_reconciler::ports::{FileChange, SavedArchive};
use homeostat_reconciler::{PortError, ResourceKey};

use super::Service;

impl Service {
    /// `diff`.
    ///
    /// # Errors
    /// When the container does not exist, and those of the engine.
    pub async fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, PortError> {
        self.engine.changes(key).await
    }

    /// `export`.
    ///
    /// # Errors
    /// When the container does not exist, and those of the engine.
    pub async fn export(&self, key: &ResourceKey) -> Result<SavedArchive, PortError> {
        self.engine.export_container(key).await
    }
}
