//! `homeostat inspect`.

use clap::Args;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render;
use crate::service::Inspection;

#[derive(Args)]
pub(super) struct Inspect {
    /// APP/NAME, or APP where it has one container
    container: String,
}

impl Inspect {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let inspection: Inspection = access.client.get(&format!("/v1/containers/{key}")).await?;
        render::json(&inspection)?;
        Ok(DONE)
    }
}
