//! `homeostat status`.

use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use super::{CHANGES, DONE};
use crate::render::{self, Output};
use crate::service::Status;

pub(super) async fn run(global: &Resolved) -> Result<u8, CliError> {
    let status: Status = Access::open(global).await?.client.get("/v1/status").await?;
    match global.output {
        Output::Json => render::json(&status)?,
        Output::Text => render::status::print(&status)?,
    }
    Ok(if status.converged { DONE } else { CHANGES })
}
