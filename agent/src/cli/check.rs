//! `homeostat check`.

use std::collections::BTreeMap;

use clap::Args;
use homeostat_reconciler::ports::{CheckFinding, CheckKind, Checked};
use serde::Serialize;

use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use super::{CHANGES, DONE};
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct Check {
    /// Mend what can be mended, and remove what cannot, so that it is pulled or built again.
    /// Volumes and what containers have written are never touched
    #[arg(long)]
    repair: bool,
}

impl Check {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let checked: Checked = access.client.post(&format!("/v1/check?repair={}", self.repair), &()).await?;
        match global.output {
            Output::Json => render::json(&Answer {
                sound: checked.is_sound(),
                counts: &checked.counts,
                findings: &checked.findings,
            })?,
            Output::Text => render::check::print(&checked, self.repair)?,
        }
        Ok(if checked.is_sound() { DONE } else { CHANGES })
    }
}

/// `check -o json`.
#[derive(Serialize)]
struct Answer<'a> {
    /// Nothing is damaged any more.
    sound: bool,
    /// How many of each kind were looked at.
    counts: &'a BTreeMap<CheckKind, usize>,
    findings: &'a [CheckFinding],
}
