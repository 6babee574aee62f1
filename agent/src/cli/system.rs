//! `homeostat system`.

use clap::{Args, Subcommand};
use homeostat_reconciler::ports::DiskUsage;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct System {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what images, containers, volumes and build cache take on disk
    Df,
}

impl System {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let Command::Df = self.command;
        let usage: DiskUsage = Access::open(global).await?.client.get("/v1/disk").await?;
        match global.output {
            Output::Json => render::json(&usage)?,
            Output::Text => render::disk::print(&usage)?,
        }
        Ok(DONE)
    }
}
