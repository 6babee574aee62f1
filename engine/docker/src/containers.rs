//! Containers: created, started, stopped, frozen, removed, adopted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptions,
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptionsBuilder,
};
use futures::StreamExt as _;
use homeostat_reconciler::ports::ContainerRequest;
use homeostat_reconciler::{ContainerState, ErrorKind, ExitStatus, PortError, ResourceKey};
use homeostat_spec::{ContainerConfig, MountSource};
use jiff::Timestamp;

use crate::create::no_restart;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::engine_name;
use crate::read::{Seen, image_id};

/// Creating and starting wait for disks and networks.
const CREATED: Duration = Duration::from_mins(1);
/// A killed container has ended by then, or the kernel holds its process.
const KILLED: Duration = Duration::from_secs(30);
/// What ends a container that does not say how it wants to be asked.
const DEFAULT_SIGNAL: &str = "SIGTERM";

impl Inner {
    /// The container, if it is there and homeostat's.
    pub(crate) async fn find(&self, key: &ResourceKey) -> Result<Option<Arc<Seen>>, Failure> {
        let name = self.container_name(key);
        let mut found = self.inspect(&name).await?;
        if found.is_none() && name != engine_name(key) {
            found = self.inspect(&engine_name(key)).await?;
        }
        Ok(found.filter(|seen| seen.key.as_ref() == Some(key)))
    }

    /// The container, which has to be there for `what`.
    pub(crate) async fn require(&self, key: &ResourceKey, what: String) -> Result<Arc<Seen>, PortError> {
        match self.find(key).await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) => {
                let cause = PortError::new(ErrorKind::User, "there is no such container");
                Err(PortError::new(ErrorKind::User, what).caused_by(cause))
            }
            Err(failure) => Err(failure.about(what)),
        }
    }

    pub(crate) async fn create_container(&self, request: &ContainerRequest) -> Result<(), PortError> {
        let key = &request.key;
        let about = |failure: Failure| failure.about(format!("container {key} cannot be created"));
        let refused = |message: String| PortError::new(ErrorKind::User, message);
        let image = self.image(&request.image).await.map_err(about)?.ok_or_else(|| {
            refused(format!("container {key} cannot be created: image {} is not here", request.image))
        })?;
        if let Some(existing) = self.inspect(&self.container_name(key)).await.map_err(about)? {
            if existing.key.as_ref() != Some(key) {
                return Err(refused(format!(
                    "container {key} cannot be created: there is a container {} that is another one",
                    engine_name(key)
                ))
                .with_hint("`adopt = true` takes it over if it is as declared; else remove or rename it"));
            }
            let same = existing.observed.image_id == image && existing.observed.config == request.config;
            let different = || refused(format!("container {key} exists and was created from something else"));
            return if same { Ok(()) } else { Err(different()) };
        }
        self.require_paths(key, &request.config)?;
        self.provide_network(&request.config.network).await.map_err(about)?;
        let body = self.body(request).map_err(|error| {
            PortError::new(ErrorKind::Internal, format!("container {key} cannot be asked for"))
                .caused_by(error)
        })?;
        let named = CreateContainerOptionsBuilder::default().name(&engine_name(key)).build();
        let api = self.api().await.map_err(about)?;
        let created = self.answer_within(CREATED, api.create_container(Some(named), body)).await;
        let id = created.map_err(about)?.id;
        let connected = self.connect_further(key, &id, &request.config).await;
        if connected.is_err() {
            // One that is on some of its networks is not the one that was asked for.
            let removed = self.answer(api.remove_container(&id, None::<RemoveContainerOptions>)).await;
            tracing::debug!(?removed, container = %key, "a container that cannot be connected");
        }
        connected.map_err(about)
    }

    /// Podman would make a missing path of the host, as a directory.
    fn require_paths(&self, key: &ResourceKey, config: &ContainerConfig) -> Result<(), PortError> {
        let is_missing = |path: &&String| self.endpoint.is_local() && !Path::new(path).exists();
        let paths = config.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Host(path) => Some(path),
            _ => None,
        });
        match paths.into_iter().find(is_missing) {
            None => Ok(()),
            Some(path) => {
                let message =
                    format!("container {key} cannot be created: {path} does not exist on this host");
                Err(PortError::new(ErrorKind::User, message))
            }
        }
    }

    /// The id of the image with this reference.
    async fn image(&self, reference: &str) -> Result<Option<String>, Failure> {
        let api = self.api().await?;
        match self.answer(api.inspect_image(reference)).await {
            Ok(image) => Ok(Some(image_id(image.id.as_deref().unwrap_or_default()))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn start_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let what = || format!("container {key} cannot be started");
        let container = self.require(key, what()).await?;
        if is_alive(&container) {
            return Ok(());
        }
        self.provide_network(&container.observed.config.network)
            .await
            .map_err(|failure| failure.about(what()))?;
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let id = &container.observed.id;
        let started =
            self.answer_within(CREATED, api.start_container(id, None::<StartContainerOptions>)).await;
        self.cache().forget_container(id);
        self.note_start(id, started.as_ref().err().and_then(not_run));
        started.map_err(|failure| failure.about(what()))
    }

    pub(crate) async fn stop_container(
        &self,
        key: &ResourceKey,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("container {key} cannot be stopped"));
        let Some(container) = self.find(key).await.map_err(about)? else { return Ok(()) };
        if !is_alive(&container) {
            return Ok(());
        }
        let id = &container.observed.id;
        let stopped = self.stop(&container, signal, grace).await;
        self.cache().forget_container(id);
        stopped.map_err(about)
    }

    pub(crate) async fn signal_container(&self, key: &ResourceKey, signal: &str) -> Result<(), PortError> {
        let about = |failure: Failure| failure.about(format!("container {key} cannot be sent {signal}"));
        let Some(container) = self.find(key).await.map_err(about)? else {
            return Err(PortError::new(ErrorKind::User, format!("there is no container {key}")));
        };
        self.kill(&container.observed.id, signal).await.map_err(about)
    }

    async fn stop(&self, container: &Seen, signal: Option<&str>, grace: Duration) -> Result<(), Failure> {
        let id = &container.observed.id;
        let signal = signal.or(container.stop_signal.as_deref()).unwrap_or(DEFAULT_SIGNAL);
        if container.observed.state == ContainerState::Paused {
            let api = self.api().await?;
            self.answer(api.unpause_container(id)).await?;
        }
        if !grace.is_zero() {
            self.kill(id, signal).await?;
            if self.ends_within(id, grace).await? {
                return Ok(());
            }
        }
        self.kill(id, "SIGKILL").await?;
        if self.ends_within(id, KILLED).await? {
            return Ok(());
        }
        Err(Failure::Refused { code: 500, message: format!("it lives {} s after SIGKILL", KILLED.as_secs()) })
    }

    /// Sends a signal. One that has ended meanwhile needs none.
    async fn kill(&self, id: &str, signal: &str) -> Result<(), Failure> {
        let api = self.api().await?;
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.answer(api.kill_container(id, Some(options))).await {
            Err(failure) if failure.is_conflict() || failure.is_not_found() => Ok(()),
            Err(Failure::Refused { message, .. }) if message.contains("not running") => Ok(()),
            done => done,
        }
    }

    /// Waits until the container does not run; false when the time is over before.
    pub(crate) async fn ends_within(&self, id: &str, limit: Duration) -> Result<bool, Failure> {
        let api = self.api().await?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut ends = api.wait_container(id, Some(options));
        match tokio::time::timeout(limit, ends.next()).await {
            Err(_) => Ok(false),
            // bollard takes any exit code but 0 for an error.
            Ok(None | Some(Ok(_) | Err(Error::DockerContainerWaitError { .. }))) => Ok(true),
            Ok(Some(Err(error))) => {
                let failure = Failure::new(error, &self.endpoint);
                if failure.is_not_found() { Ok(true) } else { Err(failure) }
            }
        }
    }

    pub(crate) async fn pause_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let what = || format!("container {key} cannot be paused");
        let container = self.require(key, what()).await?;
        if container.observed.state == ContainerState::Paused {
            return Ok(());
        }
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let done = self.answer(api.pause_container(&container.observed.id)).await;
        self.cache().forget_container(&container.observed.id);
        done.map_err(|failure| failure.about(what()))
    }

    pub(crate) async fn resume_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let what = || format!("container {key} cannot be resumed");
        let container = self.require(key, what()).await?;
        if container.observed.state == ContainerState::Running {
            return Ok(());
        }
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let done = self.answer(api.unpause_container(&container.observed.id)).await;
        self.cache().forget_container(&container.observed.id);
        done.map_err(|failure| failure.about(what()))
    }

    pub(crate) async fn remove_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        let what = || format!("container {key} cannot be removed");
        let about = |failure: Failure| failure.about(what());
        let Some(container) = self.find(key).await.map_err(about)? else { return Ok(()) };
        if is_alive(&container) {
            return Err(PortError::new(ErrorKind::User, format!("{}: it runs", what())));
        }
        self.keep_log(key, &container).await?;
        self.note_needed(key, &container)?;
        let id = &container.observed.id;
        // Volumes without a name go with the container that homeostat made them for; those of an adopted one may hold
        // what somebody wants.
        let options = RemoveContainerOptionsBuilder::default().v(!container.is_adopted).build();
        let api = self.api().await.map_err(about)?;
        // Nobody may be connected to it.
        let _ = self.removed.send((id.clone(), container.observed.exit.as_ref().and_then(|exit| exit.code)));
        let done = self.answer_within(CREATED, api.remove_container(id, Some(options))).await;
        self.cache().forget_container(id);
        match done {
            Err(failure) if !failure.is_not_found() => return Err(about(failure)),
            _ => self.ledger.forget_container(id)?,
        }
        self.release_network(&container.observed.config.network).await;
        Ok(())
    }

    /// Takes over a container as it is. Whatever starts it again from now on is homeostat.
    pub(crate) async fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        let what = || format!("container {key} cannot be adopted");
        let about = |failure: Failure| failure.about(what());
        let found = self.inspect(id).await.map_err(about)?;
        let refused = |why: &str| Err(PortError::new(ErrorKind::User, format!("{}: {why}", what())));
        let Some(container) = found else { return refused("it is gone") };
        match &container.key {
            Some(owner) if owner == key => return Ok(()),
            Some(_) => return refused("it is another container of homeostat"),
            None => {}
        }
        // In this order: one that is cut off here is taken over the next time. The other way round the engine would go on
        // restarting what is homeostat's, and nothing would look at that again.
        let id = &container.observed.id;
        if container.foreign.restart.is_some() {
            let body =
                ContainerUpdateBody { restart_policy: Some(no_restart()), ..ContainerUpdateBody::default() };
            let api = self.api().await.map_err(about)?;
            self.answer(api.update_container(id, body)).await.map_err(about)?;
            self.cache().forget_container(id);
        }
        let adopted = self.ledger.adopt_container(key, id);
        self.cache().forget_container(id);
        adopted
    }
}

/// How a run ends that the engine could not begin, with the codes that a shell gives.
pub(crate) fn not_run(failure: &Failure) -> Option<ExitStatus> {
    let Failure::Refused { message, .. } = failure else { return None };
    Some(ExitStatus {
        code: Some(code_of_failed_start(message)),
        oom_killed: false,
        finished_at: Timestamp::now(),
        error: Some(message.clone()),
    })
}

/// The code that a shell gives for a program that is not there, or that cannot be run, by what the engine says of it.
pub(crate) fn code_of_failed_start(message: &str) -> i32 {
    if message.contains("not found") || message.contains("no such file") { 127 } else { 126 }
}

pub(crate) fn is_alive(container: &Seen) -> bool {
    matches!(container.observed.state, ContainerState::Running | ContainerState::Paused)
}
