//! `homeostat events`.

use clap::Args;
use homeostat_reconciler::ports::Event;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct Events {
    /// Only so many, the newest
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: usize,
}

impl Events {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let events: Vec<Event> = access.client.get(&format!("/v1/events?limit={}", self.limit)).await?;
        match global.output {
            Output::Json => render::json(&events)?,
            Output::Text => render::events::print(&events)?,
        }
        Ok(DONE)
    }
}
