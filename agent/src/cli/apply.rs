//! `homeostat apply`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use homeostat_reconciler::ports::Source;
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use homeostat_spec::parse_duration;

use super::errors::{CliError, print_message};
use super::options::{Resolved, SourceOptions, seed};
use super::{DONE, FAILED};
use crate::api::Client;
use crate::clock::SystemClock;
use crate::controller::{Command, Controller, Options, Ports, Until};
use crate::render::{self, Output};
use crate::service::Status;
use crate::sources;
use crate::terminal::TerminalWatcher;

/// How long `apply` stays when nothing else is said.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Args)]
pub(super) struct Apply {
    /// Directory or git URL; with an agent running, leave it out: the agent's own source is read
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    #[command(flatten)]
    options: SourceOptions,
    /// A source without any spec removes everything
    #[arg(long)]
    allow_empty: bool,
    /// Do not wait longer than this for health checks and one-shots [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Apply {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let status = match Client::connect(&global.directories.socket()).await? {
            Some(client) => self.through_agent(client, timeout).await?,
            None => self.alone(global, timeout).await?,
        };
        match global.output {
            Output::Json => render::json(&status)?,
            Output::Text => render::status::print(&status)?,
        }
        Ok(if status.converged { DONE } else { FAILED })
    }

    async fn through_agent(&self, mut client: Client, timeout: Duration) -> Result<Status, CliError> {
        if let Some(source) = &self.source {
            let status: Status = client.get("/v1/status").await?;
            let followed = status.source.unwrap_or_default();
            let message = format!("an agent keeps this host as {followed} says");
            let hint = format!("change {followed}, or stop the agent before applying {source}");
            return Err(PortError::new(ErrorKind::User, message).with_hint(hint).into());
        }
        let sync = client.post("/v1/sync", &());
        match tokio::time::timeout(timeout, sync).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                Err(PortError::new(ErrorKind::Transient, format!("not converged within {timeout:?}")).into())
            }
        }
    }

    async fn alone(self, global: &Resolved, timeout: Duration) -> Result<Status, CliError> {
        let source: Arc<dyn Source> = sources::make(&self.options.settings(self.source, global)?)?;
        let host = super::access::open_host(global).await?;
        host.notices.iter().for_each(|notice| print_message(notice, None));
        let ports = Ports {
            engine: host.engine.clone(),
            source,
            store: host.store.clone(),
            by_hand: host.by_hand.clone(),
            clock: Arc::new(SystemClock),
            files: host.files.clone(),
            watcher: Arc::new(TerminalWatcher::new(global.output)),
        };
        let until = Until::Settled(Instant::now() + timeout);
        let options = Options {
            allow_empty: self.allow_empty,
            node: global.node(),
            until,
            prune: global.config.prune.clone(),
            seed: seed(),
        };
        let (controller, view) = Controller::new(ports, options)?;
        let (commands, queue) = mpsc::channel(1);
        let interrupted = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                // The loop may have ended by itself at the same moment.
                let _ = commands.send(Command::Stop).await;
            }
        });
        controller.run(queue).await;
        interrupted.abort();
        let view = view.borrow().clone();
        let view = view.ok_or_else(|| PortError::new(ErrorKind::Transient, "interrupted"))?;
        Ok(Status::of(&view, &host.engine.info(), None))
    }
}
