//! `homeostat prune`.

use std::io::Write as _;

use clap::Args;
use homeostat_reconciler::ports::Pruned;

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
        let out = &mut anstream::stdout();
        let mut access = Access::open(global).await?;
        let pruned: Pruned = access.client.post(&format!("/v1/prune?dry_run={}", self.dry_run), &()).await?;
        match global.output {
            Output::Json => render::json(&pruned)?,
            Output::Text => {
                for reference in &pruned.images {
                    writeln!(out, "{reference}")?;
                }
                let verb = if self.dry_run { "would be freed" } else { "freed" };
                writeln!(out, "{} {verb}", render::size(pruned.bytes))?;
            }
        }
        Ok(DONE)
    }
}
