//! What containers have changed of their images' files, as the engine tells it.

use bollard::models::ChangeType;
use homeostat_reconciler::ports::{FileChange, FileChangeKind};
use homeostat_reconciler::{PortError, ResourceKey};

use crate::engine::Inner;

impl Inner {
    pub(crate) async fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, PortError> {
        let what = || format!("what container {key} has changed is not known");
        let container = self.require(key, what()).await?;
        let asked = async {
            let api = self.api().await?;
            self.answer(api.container_changes(&container.observed.id)).await
        };
        let told = asked.await.map_err(|failure| failure.about(what()))?.unwrap_or_default();
        let change = |kind, path| FileChange { kind, path };
        let mut changes: Vec<FileChange> = told
            .into_iter()
            .map(|told| match told.kind {
                ChangeType::_0 => change(FileChangeKind::Changed, told.path),
                ChangeType::_1 => change(FileChangeKind::Added, told.path),
                ChangeType::_2 => change(FileChangeKind::Deleted, told.path),
            })
            .collect();
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }
}
