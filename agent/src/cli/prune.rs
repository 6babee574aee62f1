//! `homeostat prune`.

use clap::Args;
use homeostat_reconciler::ports::{Pruned, PrunedItem};
use serde::Serialize;

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct Prune {
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let pruned: Pruned = access.client.post(&format!("/v1/prune?dry_run={}", self.dry_run), &()).await?;
        match global.output {
            Output::Json => {
                render::json(&Answer { bytes: pruned.bytes(), dry_run: self.dry_run, items: &pruned.items })?;
            }
            Output::Text => render::prune::print(&pruned, self.dry_run)?,
        }
        Ok(DONE)
    }
}

/// `prune -o json`.
#[derive(Serialize)]
struct Answer<'a> {
    /// What is freed on disk in all.
    bytes: u64,
    /// Nothing was removed: it would be.
    dry_run: bool,
    items: &'a [PrunedItem],
}
