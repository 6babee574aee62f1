//! `homeostat plan`.

use clap::Args;
use homeostat_reconciler::{Desired, WaitReason, Waiting};
use homeostat_spec::Severity;

use super::access::Access;
use super::errors::CliError;
use super::options::{Resolved, SourceOptions};
use super::{CHANGES, DONE, FAILED};
use crate::api::PlanAnswer;
use crate::render::{self, Output};
use crate::sources;

#[derive(Args)]
pub(super) struct Plan {
    /// Directory or git URL [default: what the agent follows, else the configured source]
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    #[command(flatten)]
    options: SourceOptions,
    /// Plan as `apply --allow-empty` would
    #[arg(long)]
    allow_empty: bool,
}

impl Plan {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let answer = if self.source.is_none() && access.is_agent() {
            access.client.get("/v1/plan").await?
        } else {
            let compiled =
                sources::compile(&self.options.settings(self.source, global)?, &global.node()).await?;
            let desired = Desired {
                revision: compiled.revision,
                apps: compiled.compiled.apps,
                broken: compiled.compiled.broken,
                prune: compiled.compiled.prune.unwrap_or_default(),
                allow_empty: self.allow_empty,
                ..Desired::default()
            };
            let plan = access.client.post("/v1/plan", &desired).await?;
            PlanAnswer { plan, diagnostics: compiled.compiled.diagnostics }
        };
        match global.output {
            Output::Json => render::json(&answer)?,
            Output::Text => {
                render::diagnostics(&answer.diagnostics)?;
                render::plan::print(&answer.plan)?;
            }
        }
        let broken = answer.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let never = |waiting: &Waiting| waiting.reason == WaitReason::NeverPulled;
        Ok(if broken || answer.plan.waiting.iter().any(never) {
            FAILED
        } else if answer.plan.steps.is_empty() {
            DONE
        } else {
            CHANGES
        })
    }
}
