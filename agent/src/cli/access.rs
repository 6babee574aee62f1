//! Reaches the agent if one runs, and this host itself if none does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::StreamExt;
use homeostat_reconciler::ports::Attachment;
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use serde::Serialize;

use super::errors::CliError;
use super::options::Resolved;
use crate::api::{Client, ClientError, WorkEvent};
use crate::clock::SystemClock;
use crate::host::Host;
use crate::service::Service;
use crate::terminal::WorkDisplay;

/// How long to wait for an agent that is starting, or for another command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A client, and the host that it reaches where no agent runs.
pub(super) struct Access {
    pub client: Client,
    /// Holds the lock of the data directory meanwhile.
    host: Option<Host>,
}

impl Access {
    /// An agent answers, not this process itself.
    pub(super) fn is_agent(&self) -> bool {
        self.host.is_none()
    }

    /// The container that `APP/NAME` or `APP` means.
    pub(super) async fn resolve(&mut self, address: &str) -> Result<ResourceKey, CliError> {
        check(address)?;
        Ok(self.client.get(&format!("/v1/resolve/{address}")).await?)
    }

    /// The containers that `APP/NAME` or `APP` means: one, or all of the app.
    pub(super) async fn select(&mut self, address: &str) -> Result<Vec<ResourceKey>, CliError> {
        check(address)?;
        Ok(self.client.get(&format!("/v1/select/{address}")).await?)
    }

    /// Connects to a program. The data directory is anybody's again then: the connection needs nothing of it.
    pub(super) async fn attach(
        self,
        path: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<Attachment, CliError> {
        let Self { client, host } = self;
        let attachment = client.attach(path, request).await?;
        drop(host);
        Ok(attachment)
    }

    /// Asks for work that takes a while, shows how it goes on, and returns what came of it.
    pub(super) async fn follow(
        &mut self,
        path: &str,
        request: &(impl Serialize + Sync),
        display: &WorkDisplay,
    ) -> Result<String, CliError> {
        let mut events = Box::pin(self.client.post_lines::<WorkEvent>(path, request).await?);
        while let Some(event) = events.next().await {
            match event? {
                WorkEvent::Step(step) => display.step(&step),
                WorkEvent::Cached(step) => display.cached(step),
                WorkEvent::Missed { step, cause } => display.missed(step, &cause),
                WorkEvent::Output { step, line } => display.output(step, &line),
                WorkEvent::Error(error) => {
                    display.clear();
                    return Err(ClientError::Api(error).into());
                }
                WorkEvent::Done(result) => {
                    display.clear();
                    return Ok(result);
                }
            }
        }
        Err(PortError::new(ErrorKind::Transient, "the agent ended meanwhile").into())
    }

    /// Connects to the agent; with none, takes the data directory's lock. Waits a while for an agent that
    /// is starting, or another command that has the lock.
    pub(super) async fn open(global: &Resolved) -> Result<Self, CliError> {
        let deadline = Instant::now() + PATIENCE;
        let host = loop {
            if let Some(client) = Client::connect(&global.directories.socket()).await? {
                return Ok(Self { client, host: None });
            }
            if let Some(host) = try_host(global, deadline).await? {
                break host;
            }
        };
        host.notices.iter().for_each(|notice| super::errors::print_message(notice, None));
        let service = Service {
            engine: host.engine.clone(),
            store: host.store.clone(),
            by_hand: host.by_hand.clone(),
            clock: Arc::new(SystemClock),
            files: host.files.clone(),
            prune: global.config.prune.clone(),
            agent: None,
        };
        Ok(Self { client: Client::in_process(service).await?, host: Some(host) })
    }
}

/// Whether a text can be an address of containers, and part of a path of the API.
fn check(address: &str) -> Result<(), PortError> {
    let valid = address.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/'));
    if valid && !address.is_empty() {
        return Ok(());
    }
    let message = format!("{address:?} is no container");
    Err(PortError::new(ErrorKind::User, message).with_hint("a container is addressed as APP/NAME"))
}

/// Takes the data directory's lock. Waits a while for a process that has it.
pub(super) async fn open_host(global: &Resolved) -> Result<Host, PortError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(host) = try_host(global, deadline).await? {
            return Ok(host);
        }
    }
}

/// One attempt; `None`, a little later, when another process has the lock and there is time left.
async fn try_host(global: &Resolved, deadline: Instant) -> Result<Option<Host>, PortError> {
    match Host::open(&global.directories, &global.engine).await {
        Err(error) if error.kind == ErrorKind::Transient && Instant::now() < deadline => {
            tokio::time::sleep(PAUSE).await;
            Ok(None)
        }
        opened => opened.map(Some),
    }
}
