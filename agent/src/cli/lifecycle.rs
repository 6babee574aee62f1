//! `homeostat start`, `stop`, `restart`, `pause`, `unpause`, `kill`, `wait` and `rm`.

use std::io::Write as _;

use clap::Args;
use homeostat_reconciler::{ExitStatus, ResourceKey};
use serde::Serialize;

use super::access::Access;
use super::errors::{self, CliError};
use super::options::Resolved;
use super::{DONE, FAILED};
use crate::api::{ClientError, KillRequest, RemoveRequest, StopRequest};

#[derive(Args)]
pub(super) struct Containers {
    /// APP/NAME, or APP for all of its containers
    #[arg(value_name = "CONTAINER|APP", required = true)]
    addresses: Vec<String>,
}

#[derive(Args)]
pub(super) struct Stop {
    /// Seconds before it is killed [default: as its spec says]
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u64>,
    #[command(flatten)]
    containers: Containers,
}

#[derive(Args)]
pub(super) struct Kill {
    /// Name or number of the signal
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    containers: Containers,
}

#[derive(Args)]
pub(super) struct Remove {
    /// Also if it runs
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    containers: Containers,
}

impl Containers {
    /// Asks the same of each. What fails at one holds up no other.
    async fn each(
        &self,
        global: &Resolved,
        verb: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let mut code = DONE;
        for address in &self.addresses {
            match access.select(address).await {
                Ok(keys) => {
                    for key in keys {
                        let path = format!("/v1/containers/{key}/{verb}");
                        let done: Result<(), ClientError> = access.client.post(&path, request).await;
                        code = code.max(tell(&key, done)?);
                    }
                }
                Err(error) => {
                    errors::print(&error);
                    code = FAILED;
                }
            }
        }
        Ok(code)
    }

    pub(super) async fn start(self, global: &Resolved) -> Result<u8, CliError> {
        self.each(global, "start", &()).await
    }

    pub(super) async fn pause(self, global: &Resolved) -> Result<u8, CliError> {
        self.each(global, "pause", &()).await
    }

    pub(super) async fn unpause(self, global: &Resolved) -> Result<u8, CliError> {
        self.each(global, "unpause", &()).await
    }

    /// Prints the exit code of each, in the order in which they are named.
    pub(super) async fn wait(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        for address in &self.addresses {
            for key in access.select(address).await? {
                let exit: ExitStatus = access.client.post(&format!("/v1/containers/{key}/wait"), &()).await?;
                let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
                writeln!(anstream::stdout(), "{code}")?;
            }
        }
        Ok(DONE)
    }
}

impl Stop {
    pub(super) async fn stop(self, global: &Resolved) -> Result<u8, CliError> {
        self.containers.each(global, "stop", &StopRequest { grace: self.time }).await
    }

    pub(super) async fn restart(self, global: &Resolved) -> Result<u8, CliError> {
        self.containers.each(global, "restart", &StopRequest { grace: self.time }).await
    }
}

impl Kill {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        self.containers.each(global, "kill", &KillRequest { signal: self.signal }).await
    }
}

impl Remove {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        self.containers.each(global, "remove", &RemoveRequest { force: self.force }).await
    }
}

/// Prints the address of what it was done with, as Docker does.
fn tell(key: &ResourceKey, done: Result<(), ClientError>) -> Result<u8, CliError> {
    match done {
        Ok(()) => {
            writeln!(anstream::stdout(), "{key}")?;
            Ok(DONE)
        }
        Err(error) => {
            errors::print(&error.into());
            Ok(FAILED)
        }
    }
}
