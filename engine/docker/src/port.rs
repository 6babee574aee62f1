//! The engine port, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use homeostat_reconciler::ports::{
    ArchiveToLoad, AttachEnd, AttachRequest, Attachment, BuildRequest, ContainerProcess, ContainerRequest,
    DiskUsage, Engine, EngineEvent, EngineInfo, ExecAttachRequest, ExecOutcome, ExecRequest, FileChange,
    ImageDetails, ImageRemoval, LoadedImage, LogLine, LogQuery, Progress, PruneRequest, Pruned, SaveRequest,
    SavedArchive, StoredImage, StoredVolume, Usage,
};
use homeostat_reconciler::{ForeignContainer, Observed, PortError, ResourceKey};
use homeostat_spec::{LogRotation, Network, Resources, Volume};
use tokio::sync::broadcast::error::RecvError;

use crate::Docker;

/// What cannot be told without the engine.
const NOT_SEEN: &str = "what there is cannot be seen";

#[async_trait]
impl Engine for Docker {
    fn info(&self) -> EngineInfo {
        EngineInfo {
            name: self.inner.flavour.name().to_owned(),
            version: self.inner.version(),
            storage: None,
        }
    }

    async fn observe(&self) -> Result<Observed, PortError> {
        self.inner.observe().await.map_err(|failure| failure.about(NOT_SEEN))
    }

    async fn find_foreign(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ForeignContainer>, PortError> {
        self.inner.find_foreign(names).await.map_err(|failure| failure.about(NOT_SEEN))
    }

    async fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        self.inner.adopt_container(key, id).await
    }

    fn events(&self) -> BoxStream<'static, EngineEvent> {
        let receiver = self.inner.events.subscribe();
        stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(RecvError::Lagged(_)) => Some((EngineEvent::Changed, receiver)),
                Err(RecvError::Closed) => None,
            }
        })
        .boxed()
    }

    async fn build_image(
        &self,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        self.inner.build_image(request, progress).await
    }

    async fn pull_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        self.inner.pull_image(reference, progress).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), PortError> {
        self.inner.remove_image(reference).await
    }

    async fn images(&self) -> Result<Vec<StoredImage>, PortError> {
        self.inner.stored_images().await.map_err(|failure| failure.about(NOT_SEEN))
    }

    async fn inspect_image(&self, name: &str) -> Result<ImageDetails, PortError> {
        self.inner.inspect_image(name).await
    }

    async fn tag_image(&self, name: &str, reference: &str) -> Result<(), PortError> {
        self.inner.tag_image(name, reference).await
    }

    async fn delete_image(&self, name: &str) -> Result<ImageRemoval, PortError> {
        self.inner.delete_image(name).await
    }

    async fn push_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        self.inner.push_image(reference, progress).await
    }

    async fn save_images(&self, request: &SaveRequest) -> Result<SavedArchive, PortError> {
        self.inner.save_images(request).await
    }

    async fn load_images(&self, archive: ArchiveToLoad) -> Result<Vec<LoadedImage>, PortError> {
        self.inner.load_images(archive).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError> {
        Box::pin(self.inner.prune(request)).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage, PortError> {
        Box::pin(self.inner.disk_usage())
            .await
            .map_err(|failure| failure.about("what is on the engine's disk is not known"))
    }

    async fn volumes(&self) -> Result<Vec<StoredVolume>, PortError> {
        Box::pin(self.inner.stored_volumes())
            .await
            .map_err(|failure| failure.about("the engine's volumes are not known"))
    }

    async fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), PortError> {
        self.inner.create_volume(key, volume).await
    }

    async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.remove_volume(key).await
    }

    async fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), PortError> {
        self.inner.create_network(key, network).await
    }

    async fn remove_network(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.remove_network(key).await
    }

    async fn create_container(&self, request: &ContainerRequest) -> Result<(), PortError> {
        self.inner.create_container(request).await
    }

    async fn start_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.start_container(key).await
    }

    async fn stop_container(
        &self,
        key: &ResourceKey,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), PortError> {
        self.inner.stop_container(key, signal, grace).await
    }

    async fn signal_container(&self, key: &ResourceKey, signal: &str) -> Result<(), PortError> {
        self.inner.signal_container(key, signal).await
    }

    async fn pause_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.pause_container(key).await
    }

    async fn resume_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.resume_container(key).await
    }

    async fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
        _log: &LogRotation,
    ) -> Result<(), PortError> {
        // See `Abilities::update_log`.
        self.inner.update_container(key, resources).await
    }

    async fn remove_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.inner.remove_container(key).await
    }

    async fn exec(&self, key: &ResourceKey, request: &ExecRequest) -> Result<ExecOutcome, PortError> {
        self.inner.exec(key, request).await
    }

    async fn exec_attached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Attachment, PortError> {
        self.inner.exec_attached(key, request).await
    }

    async fn exec_detached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Option<AttachEnd>, PortError> {
        self.inner.exec_detached(key, request).await
    }

    async fn attach(&self, key: &ResourceKey, request: &AttachRequest) -> Result<Attachment, PortError> {
        self.inner.attach(key, request).await
    }

    async fn start_attached(
        &self,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        self.inner.start_attached(key, request).await
    }

    fn logs(&self, key: &ResourceKey, query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>> {
        Arc::clone(&self.inner).log(key.clone(), query.clone())
    }

    async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, PortError> {
        self.inner.usage().await.map_err(|failure| failure.about("what containers use is not known"))
    }

    async fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, PortError> {
        self.inner.processes(key).await
    }

    async fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, PortError> {
        self.inner.changes(key).await
    }

    async fn export_container(&self, key: &ResourceKey) -> Result<SavedArchive, PortError> {
        self.inner.export_container(key).await
    }
}
