//! `homeostat images`.

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};
use crate::service::ImageListing;

pub(super) async fn run(global: &Resolved) -> Result<u8, CliError> {
    let images: Vec<ImageListing> = Access::open(global).await?.client.get("/v1/images").await?;
    match global.output {
        Output::Json => render::json(&images)?,
        Output::Text => render::images::print(&images)?,
    }
    Ok(DONE)
}
