//! The files of containers as archives.

use futures::StreamExt as _;
use homeostat_reconciler::ports::SavedArchive;
use homeostat_reconciler::{PortError, ResourceKey};
use tokio::sync::mpsc;

use crate::engine::Inner;
use crate::failure::Failure;
use crate::transfer::{PIECES_AHEAD, received};

impl Inner {
    pub(crate) async fn export_container(&self, key: &ResourceKey) -> Result<SavedArchive, PortError> {
        let what = format!("container {key} cannot be exported");
        let container = self.require(key, what.clone()).await?;
        let api = self.api().await.map_err(|failure| failure.about(&what))?;
        let (id, endpoint) = (container.observed.id.clone(), self.endpoint.to_string());
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            let mut archive = Box::pin(api.export_container(&id));
            while let Some(piece) = archive.next().await {
                let piece = piece.map_err(|error| Failure::new(error, &endpoint).about(&what));
                // Where nobody listens any more, nobody needs the rest.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok(received(pieces))
    }
}
