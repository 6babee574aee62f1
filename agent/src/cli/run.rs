//! `homeostat run`.

use std::io::Write as _;

use clap::Args;
use homeostat_reconciler::ports::AttachEnd;

use super::DONE;
use super::access::Access;
use super::container::ContainerOptions;
use super::create::{create, prepare};
use super::errors::{self, CliError};
use super::options::Resolved;

/// What Docker's `run` ends with when nothing was run.
const NOT_RUN: u8 = 125;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Run {
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Leave it running, and print its name
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    options: ContainerOptions,
}

impl Run {
    /// The code is that of what was run, or one that says why nothing was.
    pub(super) async fn run(self, global: &Resolved) -> u8 {
        self.run_it(global).await.unwrap_or_else(|error| {
            errors::print(&error);
            NOT_RUN
        })
    }

    async fn run_it(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let prepared = prepare(&mut access, &self.options).await?;
        if let Some(AttachEnd { code, error, hint }) = create(&mut access, global, &prepared).await? {
            errors::print_message(&error.unwrap_or_default(), hint.as_deref());
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_RUN));
        }
        writeln!(anstream::stdout(), "{}", prepared.key)?;
        Ok(DONE)
    }
}
