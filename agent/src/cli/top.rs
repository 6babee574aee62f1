//! `homeostat top`.

use clap::Args;
use homeostat_reconciler::ports::ContainerProcess;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct Top {
    /// APP/NAME, or APP where it has one container
    container: String,
}

impl Top {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let processes: Vec<ContainerProcess> =
            access.client.get(&format!("/v1/containers/{key}/processes")).await?;
        match global.output {
            Output::Json => render::json(&processes)?,
            Output::Text => render::top::print(&processes)?,
        }
        Ok(DONE)
    }
}
