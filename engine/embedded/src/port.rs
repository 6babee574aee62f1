//! The engine port, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use homeostat_reconciler::ports::{
    ArchiveToLoad, AttachEnd, AttachRequest, Attachment, BuildRequest, Checked, ContainerProcess,
    ContainerRequest, DiskUsage, Engine, EngineEvent, EngineInfo, ExecAttachRequest, ExecOutcome,
    ExecRequest, FileChange, ImageDetails, ImageRemoval, LoadedImage, LogLine, LogQuery, Progress,
    PruneRequest, Pruned, SaveRequest, SavedArchive, StoredImage, StoredVolume, Usage,
};
use homeostat_reconciler::{ErrorKind, ForeignContainer, Observed, PortError, ResourceKey};
use homeostat_spec::{LogRotation, Network, Resources, Volume};
use tokio::sync::broadcast::error::RecvError;

use crate::engine::{Embedded, Inner};
use crate::run::blocking;
use crate::{EmbeddedError, archives, logs};

impl Embedded {
    /// Runs what may block on a thread for that.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, EmbeddedError> + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = Arc::clone(&self.inner);
        Ok(blocking(move || work(&inner)).await?)
    }
}

#[async_trait]
impl Engine for Embedded {
    fn info(&self) -> EngineInfo {
        EngineInfo {
            name: "embedded".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            storage: Some(self.inner.storage()),
        }
    }

    async fn observe(&self) -> Result<Observed, PortError> {
        self.call(|inner| Ok(inner.observe())).await
    }

    async fn find_foreign(
        &self,
        _names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ForeignContainer>, PortError> {
        // Homeostat created whatever runs here.
        Ok(BTreeMap::new())
    }

    async fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        let message =
            format!("container {key} cannot be adopted: there is no container {id} of anybody else");
        Err(PortError::new(ErrorKind::User, message))
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
        Ok(self.inner.build_image(request, progress).await?)
    }

    async fn pull_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        Ok(self.inner.pull_image(reference, progress).await?)
    }

    async fn remove_image(&self, reference: &str) -> Result<(), PortError> {
        let reference = reference.to_owned();
        self.call(move |inner| inner.remove_image(&reference)).await
    }

    async fn images(&self) -> Result<Vec<StoredImage>, PortError> {
        self.call(|inner| Ok(inner.stored_images())).await
    }

    async fn inspect_image(&self, name: &str) -> Result<ImageDetails, PortError> {
        let name = name.to_owned();
        self.call(move |inner| inner.inspect_image(&name)).await
    }

    async fn tag_image(&self, name: &str, reference: &str) -> Result<(), PortError> {
        let (name, reference) = (name.to_owned(), reference.to_owned());
        self.call(move |inner| inner.tag_image(&name, &reference)).await
    }

    async fn delete_image(&self, name: &str) -> Result<ImageRemoval, PortError> {
        let name = name.to_owned();
        self.call(move |inner| inner.delete_image(&name)).await
    }

    async fn push_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError> {
        Ok(self.inner.push_image(reference, progress).await?)
    }

    async fn save_images(&self, request: &SaveRequest) -> Result<SavedArchive, PortError> {
        Ok(Inner::save_images(&self.inner, request.clone()).await?)
    }

    async fn load_images(&self, archive: ArchiveToLoad) -> Result<Vec<LoadedImage>, PortError> {
        let archive = archives::Incoming::new(archive);
        self.call(move |inner| inner.load_images(archive)).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError> {
        let request = request.clone();
        self.call(move |inner| inner.prune(&request)).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage, PortError> {
        self.call(Inner::disk_usage).await
    }

    async fn volumes(&self) -> Result<Vec<StoredVolume>, PortError> {
        self.call(|inner| Ok(inner.stored_volumes())).await
    }

    async fn check(&self, repair: bool) -> Result<Checked, PortError> {
        self.call(move |inner| inner.check_disk(repair)).await
    }

    async fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), PortError> {
        let (key, volume) = (key.clone(), volume.clone());
        self.call(move |inner| inner.create_volume(&key, &volume)).await
    }

    async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        let key = key.clone();
        self.call(move |inner| inner.remove_volume(&key)).await
    }

    async fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), PortError> {
        let (key, network) = (key.clone(), network.clone());
        self.call(move |inner| inner.create_network(&key, &network)).await
    }

    async fn remove_network(&self, key: &ResourceKey) -> Result<(), PortError> {
        let key = key.clone();
        self.call(move |inner| inner.remove_network(&key)).await
    }

    async fn create_container(&self, request: &ContainerRequest) -> Result<(), PortError> {
        let request = request.clone();
        self.call(move |inner| inner.create_container(&request)).await
    }

    async fn start_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        // As a task of its own it is finished also when the caller waits no more: a monitor that nobody has heard
        // out would run unwatched.
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let started = tokio::spawn(async move { inner.start_container(&key, None).await });
        started.await.map_err(|_| EmbeddedError::Panicked)??;
        Ok(())
    }

    async fn stop_container(
        &self,
        key: &ResourceKey,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), PortError> {
        Ok(self.inner.stop_container(key, signal, grace).await?)
    }

    async fn signal_container(&self, key: &ResourceKey, signal: &str) -> Result<(), PortError> {
        let (key, signal) = (key.clone(), signal.to_owned());
        self.call(move |inner| inner.signal_container(&key, &signal)).await
    }

    async fn pause_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let key = key.clone();
        self.call(move |inner| inner.pause_container(&key)).await
    }

    async fn resume_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let key = key.clone();
        self.call(move |inner| inner.resume_container(&key)).await
    }

    async fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
        log: &LogRotation,
    ) -> Result<(), PortError> {
        let (key, resources, log) = (key.clone(), resources.clone(), log.clone());
        self.call(move |inner| inner.update_container(&key, &resources, &log)).await
    }

    async fn remove_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let key = key.clone();
        self.call(move |inner| inner.remove_container(&key)).await
    }

    async fn exec(&self, key: &ResourceKey, request: &ExecRequest) -> Result<ExecOutcome, PortError> {
        Ok(self.inner.exec(key, request).await?)
    }

    async fn exec_attached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Attachment, PortError> {
        Ok(self.inner.exec_attached(key, request).await?)
    }

    async fn exec_detached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Option<AttachEnd>, PortError> {
        Ok(self.inner.exec_detached(key, request).await?)
    }

    async fn attach(&self, key: &ResourceKey, request: &AttachRequest) -> Result<Attachment, PortError> {
        Ok(self.inner.attach(key, request).await?)
    }

    async fn start_attached(
        &self,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        // As for a start.
        let (inner, key, request) = (Arc::clone(&self.inner), key.clone(), request.clone());
        let started = tokio::spawn(async move { inner.start_attached(&key, &request).await });
        Ok(started.await.map_err(|_| EmbeddedError::Panicked)??)
    }

    fn logs(&self, key: &ResourceKey, query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>> {
        logs::lines(self.inner.layout.log(key), query)
    }

    async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, PortError> {
        self.call(|inner| Ok(inner.usage())).await
    }

    async fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, PortError> {
        let key = key.clone();
        self.call(move |inner| inner.processes(&key)).await
    }

    async fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, PortError> {
        let key = key.clone();
        self.call(move |inner| inner.changes(&key)).await
    }

    async fn export_container(&self, key: &ResourceKey) -> Result<SavedArchive, PortError> {
        let key = key.clone();
        let write = self.call(move |inner| inner.export(&key)).await?;
        Ok(archives::outgoing(write))
    }
}
