//! `homeostat run`.

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use homeostat_reconciler::ports::AttachRequest;
use homeostat_reconciler::{ExitStatus, ResourceKey};

use super::DONE;
use super::access::Access;
use super::container::ContainerOptions;
use super::create::{create, prepare};
use super::errors::{self, CliError};
use super::options::Resolved;
use super::session::{DetachKeys, OWN_FAILURE, Returned, Session, window};
use crate::api::{ClientError, RemoveRequest};
use crate::service::Inspection;

/// How long the end of a container may take to be seen by whoever keeps it.
const END_LIMIT: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Run {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Leave it running, and print its name
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave it running, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    #[command(flatten)]
    options: ContainerOptions,
}

impl Run {
    /// The code is that of what was run, or one that says why nothing was.
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let mut prepared = prepare(&mut access, &self.options).await?;
        prepared.new.attended = !self.detach;
        if let Some(end) = create(&mut access, global, &prepared).await? {
            return Ok(Returned::Ended(end).code());
        }
        if self.detach {
            writeln!(anstream::stdout(), "{}", prepared.key)?;
            return Ok(DONE);
        }
        let removed = self.options.rm;
        let stayed = self.stay(access, &prepared.key).await;
        let (is_over, code) = match &stayed {
            Ok(Returned::Ended(end)) => (removed || end.error.is_some(), None),
            Ok(Returned::Detached | Returned::Signalled(_)) => (false, None),
            Err(_) => {
                let code = not_run(global, &prepared.key).await;
                (code.is_some(), code)
            }
        };
        if is_over {
            let was_started = matches!(&stayed, Ok(Returned::Ended(end)) if end.error.is_none());
            remove(global, &prepared.key, was_started).await;
        }
        match (stayed, code) {
            (Err(error), Some(code)) => {
                errors::print(&error);
                Ok(code)
            }
            (stayed, _) => Ok(stayed?.code()),
        }
    }

    /// Starts it, and is there until it ends.
    async fn stay(self, access: Access, key: &ResourceKey) -> Result<Returned, CliError> {
        let stdin = self.options.interactive;
        let size = window().filter(|_| self.options.tty);
        let request = AttachRequest { stdin, foreground: true, size };
        let attachment = access.attach(&format!("/v1/containers/{key}/start-attached"), &request).await?;
        Session { stdin, detach_keys: self.detach_keys, signals: true }.stay(attachment).await
    }
}

/// The code that says why a container was never started, if it was not: 126, 127, or that of a failure of this program.
async fn not_run(global: &Resolved, key: &ResourceKey) -> Option<u8> {
    let mut access = Access::open(global).await.ok()?;
    let known: Inspection = access.client.get(&format!("/v1/containers/{key}")).await.ok()?;
    let observed = known.observed.filter(|observed| observed.started_at.is_none())?;
    let code = observed.exit.and_then(|exit| exit.code);
    Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE))
}

/// Takes back what has ended, or could not be started. An agent may have done so already; what runs is left alone.
async fn remove(global: &Resolved, key: &ResourceKey, was_started: bool) {
    let Ok(mut access) = Access::open(global).await else { return };
    // An agent may not have seen the end yet, and would take it for one that runs.
    if was_started {
        let path = format!("/v1/containers/{key}/wait");
        let wait = access.client.post::<ExitStatus>(&path, &());
        if tokio::time::timeout(END_LIMIT, wait).await.is_err() {
            return;
        }
    }
    let path = format!("/v1/containers/{key}/remove");
    let _: Result<(), ClientError> = access.client.post(&path, &RemoveRequest { force: false }).await;
}
