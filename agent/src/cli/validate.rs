//! `homeostat validate`.

use std::io::Write as _;

use clap::Args;
use homeostat_spec::Severity;

use super::errors::CliError;
use super::options::{Resolved, SourceOptions};
use super::{DONE, FAILED};
use crate::render::{self, Output};
use crate::sources;

#[derive(Args)]
pub(super) struct Validate {
    /// Directory or git URL [default: the configured source]
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    #[command(flatten)]
    options: SourceOptions,
}

impl Validate {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let out = &mut anstream::stdout();
        let answer = sources::compile(&self.options.settings(self.source, global)?, &global.node()).await?;
        let compiled = answer.compiled;
        let errors =
            compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        match global.output {
            Output::Json => render::json(&compiled.diagnostics)?,
            Output::Text => {
                render::diagnostics(&compiled.diagnostics)?;
                let count = compiled.apps.len();
                let apps = if count == 1 { "1 app is".to_owned() } else { format!("{count} apps are") };
                writeln!(
                    out,
                    "{apps} valid, {errors} {} found",
                    if errors == 1 { "error" } else { "errors" }
                )?;
            }
        }
        Ok(if errors == 0 { DONE } else { FAILED })
    }
}
