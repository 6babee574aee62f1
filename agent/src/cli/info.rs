//! `homeostat info`.

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};
use crate::service::Info;

pub(super) async fn run(global: &Resolved) -> Result<u8, CliError> {
    let info: Info = Access::open(global).await?.client.get("/v1/info").await?;
    match global.output {
        Output::Json => render::json(&info)?,
        Output::Text => render::info::print(&info)?,
    }
    Ok(DONE)
}
