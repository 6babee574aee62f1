//! Containers that somebody is connected to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::query_parameters::KillContainerOptionsBuilder;
use bytes::Bytes;
use futures::StreamExt as _;
use homeostat_reconciler::ports::{AttachEnd, AttachOutput, AttachRequest, Attachment, TerminalSize};
use homeostat_reconciler::{ErrorKind, ExitStatus, PortError, ResourceKey, chain};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use serde_json::Value;
use tokio::sync::broadcast;

use super::NO_DETACH_KEYS;
use super::command::is_of_runtime;
use super::connection::take_over;
use super::session::{Program, Terms, attachment};
use crate::Flavour;
use crate::containers::{is_alive, not_run};
use crate::engine::Inner;
use crate::failure::Failure;
use crate::read::Seen;
use crate::stream::send;

/// Podman has tidied up after a run by then.
const SETTLED: Duration = Duration::from_secs(5);
/// Time between two looks at that.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Inner {
    /// Connects to a container that runs. Of one that has run there is nothing left but how it ended.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        let what = || format!("nobody can be connected to container {key}");
        let container = self.require(key, what()).await?;
        if !is_alive(&container) {
            let Some(exit) = &container.observed.exit else {
                return Err(PortError::new(ErrorKind::User, format!("{}: it does not run", what())));
            };
            return Ok(over(end_of(exit)));
        }
        let (attachment, program) = match self.connect(&container, request).await {
            Ok(connected) => connected,
            Err(failure) => {
                // It may have ended just now.
                self.settle(&container.observed.id).await.map_err(|failure| failure.about(what()))?;
                self.cache().forget_container(&container.observed.id);
                let container = self.require(key, what()).await?;
                return match &container.observed.exit {
                    Some(exit) if !is_alive(&container) => Ok(over(end_of(exit))),
                    _ => Err(failure.about(what())),
                };
            }
        };
        if let Some(size) = request.size.filter(|_| attachment.terminal) {
            program.resize(size).await;
        }
        Ok(attachment)
    }

    /// Starts a container with somebody connected to it already.
    pub(crate) async fn start_attached(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        let what = || format!("container {key} cannot be started");
        let container = self.require(key, what()).await?;
        if is_alive(&container) {
            return self.attach(key, request).await;
        }
        self.settle(&container.observed.id).await.map_err(|failure| failure.about(what()))?;
        let connected = self.connect(&container, request).await;
        // Podman makes the container ready for that, and may find that it cannot be run.
        if let Err(failure) = &connected {
            self.note_start(&container.observed.id, not_run(failure).filter(is_of_program));
        }
        let (attachment, program) = match connected {
            Err(failure) => return self.never_run(&container, failure.about(what())),
            Ok(connected) => connected,
        };
        let size = request.size.filter(|_| attachment.terminal);
        if let (Some(size), Flavour::Podman) = (size, self.flavour) {
            program.resize(size).await;
        }
        if let Err(error) = self.start_container(key).await {
            return self.never_run(&container, error);
        }
        if let (Some(size), Flavour::Docker) = (size, self.flavour) {
            program.resize(size).await;
        }
        Ok(attachment)
    }

    /// The end of a program that could not be run; another failure to start is passed on.
    fn never_run(&self, container: &Seen, error: PortError) -> Result<Attachment, PortError> {
        match self.failed_start(&container.observed.id).filter(is_of_program) {
            Some(exit) => {
                Ok(over(AttachEnd { code: exit.code, error: Some(chain(&error)), hint: error.hint.clone() }))
            }
            None => Err(error),
        }
    }

    /// Waits until Podman has tidied up after a run that has just ended: until then it connects to what is left of that.
    async fn settle(&self, id: &str) -> Result<(), Failure> {
        let limit = Instant::now() + SETTLED;
        while self.flavour == Flavour::Podman && Instant::now() < limit {
            let request = Request::get(format!("/v4.0.0/libpod/containers/{id}/json"));
            let request = request.body(Empty::<Bytes>::new());
            let request = request.map_err(|error| Failure::new(error.into(), &self.endpoint))?;
            let answer = send(&self.endpoint, request).await?;
            let body = answer.into_body().collect().await;
            let body = body.map_err(|error| Failure::new(error.into(), &self.endpoint))?.to_bytes();
            let told: Value = serde_json::from_slice(&body).unwrap_or_default();
            match told["State"]["Status"].as_str() {
                Some("running" | "stopping" | "stopped") => tokio::time::sleep(LOOK_AGAIN).await,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    async fn connect(
        self: &Arc<Self>,
        container: &Seen,
        request: &AttachRequest,
    ) -> Result<(Attachment, Arc<Connected>), Failure> {
        let id = &container.observed.id;
        let keys = serde_urlencoded::to_string([("detachKeys", NO_DETACH_KEYS)]).unwrap_or_default();
        let stdin = u8::from(request.stdin);
        let path = format!("/containers/{id}/attach?stream=1&stdin={stdin}&stdout=1&stderr=1&{keys}");
        let path = self.versioned(&path).await?;
        let removed = Mutex::new(self.removed.subscribe());
        let connection = take_over(&self.endpoint, &path, Vec::new()).await?;
        let program = Arc::new(Connected { engine: Arc::clone(self), id: id.clone(), removed });
        let terminal = container.observed.config.tty;
        let terms = Terms {
            terminal,
            stdin: request.stdin,
            owned: request.foreground,
            // To Docker the end of one's input is that of one's connection, unless it was told when the container was made.
            ends_input: request.foreground
                && !terminal
                && (container.stdin_once || self.flavour == Flavour::Podman),
        };
        let shared: Arc<dyn Program> = Arc::<Connected>::clone(&program);
        Ok((attachment(connection, shared, terms), program))
    }
}

/// Whether a start failed by the program, and not by what it was to have.
fn is_of_program(exit: &ExitStatus) -> bool {
    exit.error.as_deref().is_some_and(is_of_runtime)
}

fn end_of(exit: &ExitStatus) -> AttachEnd {
    AttachEnd { code: exit.code, error: exit.error.clone(), hint: None }
}

/// What is left of a run that is over.
fn over(end: AttachEnd) -> Attachment {
    Attachment {
        terminal: false,
        input: Box::pin(futures::sink::unfold((), |(), _| futures::future::ok(()))),
        output: futures::stream::iter([Ok(AttachOutput::End(end))]).boxed(),
    }
}

/// A container that somebody is connected to.
#[derive(Debug)]
struct Connected {
    engine: Arc<Inner>,
    id: String,
    /// Tells of containers that this process has removed, perhaps before their end was heard of here.
    removed: Mutex<broadcast::Receiver<(String, Option<i32>)>>,
}

impl Connected {
    async fn try_resize(&self, size: TerminalSize) -> Result<(), Failure> {
        // Podman changes that of a container that is about to start only if it is told that it need not run.
        let query = format!("h={}&w={}&running=true", size.rows, size.columns);
        let path = self.engine.versioned(&format!("/containers/{}/resize?{query}", self.id)).await?;
        let request = Request::post(path).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Failure::new(error.into(), &self.engine.endpoint))?;
        send(&self.engine.endpoint, request).await.map(drop)
    }

    /// The exit code, once it has ended.
    async fn code(&self) -> Result<Option<i32>, Failure> {
        loop {
            let Some(seen) = self.engine.inspect(&self.id).await? else {
                return Ok(self.code_at_removal());
            };
            if !is_alive(&seen) {
                return Ok(seen.observed.exit.as_ref().and_then(|exit| exit.code));
            }
            self.engine.ends_within(&self.id, Duration::MAX).await?;
        }
    }

    fn code_at_removal(&self) -> Option<i32> {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let told = std::iter::from_fn(|| removed.try_recv().ok()).find(|(id, _)| *id == self.id);
        told.and_then(|(_, code)| code)
    }
}

#[async_trait]
impl Program for Connected {
    async fn resize(&self, size: TerminalSize) {
        // It may have ended just now.
        if let Err(failure) = self.try_resize(size).await {
            tracing::debug!(%failure, "a terminal has not got its size");
        }
    }

    async fn signal(&self, number: i32) {
        let Ok(api) = self.engine.api().await else { return };
        let options = KillContainerOptionsBuilder::default().signal(&number.to_string()).build();
        if let Err(failure) = self.engine.answer(api.kill_container(&self.id, Some(options))).await {
            tracing::debug!(%failure, "a signal has not reached its container");
        }
    }

    /// What could not be run was never started.
    async fn is_refusal(&self, _first: &[u8]) -> bool {
        false
    }

    async fn end(&self) -> Result<AttachEnd, PortError> {
        let code = self.code().await;
        self.engine.cache().forget_container(&self.id);
        let code = code.map_err(|failure| failure.about("how the container has ended is not known"))?;
        Ok(AttachEnd { code, ..AttachEnd::default() })
    }

    async fn begun(&self) {}

    /// A container goes on.
    fn abandon(&self) {}
}
