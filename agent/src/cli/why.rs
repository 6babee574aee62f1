//! `homeostat why`.

use clap::Args;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};
use crate::service::Explanation;

#[derive(Args)]
pub(super) struct Why {
    /// APP/NAME, or APP where it has one container
    container: String,
}

impl Why {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let explanation: Explanation = access.client.get(&format!("/v1/containers/{key}/why")).await?;
        match global.output {
            Output::Json => render::json(&explanation)?,
            Output::Text => render::why::print(&key, &explanation)?,
        }
        Ok(DONE)
    }
}
