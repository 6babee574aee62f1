//! `homeostat inspect`.

use std::io::Write as _;

use clap::Args;
use homeostat_reconciler::{ErrorKind, PortError};

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::format::Format;
use crate::render::{self, Output};
use crate::service::Inspection;

#[derive(Args)]
pub(super) struct Inspect {
    /// APP/NAME, or APP where it has one container
    container: String,
    /// Print this of it: a JSON path as .observed.pid, or text with that in braces, as '{{.observed.pid}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<Format>,
}

impl Inspect {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let inspection: Inspection = access.client.get(&format!("/v1/containers/{key}")).await?;
        match &self.format {
            None => render::json(&inspection)?,
            Some(format) => {
                let text = format.print(&inspection, global.output == Output::Json).ok_or_else(|| {
                    let message = format!("nothing is known of container {key} under this path");
                    PortError::new(ErrorKind::User, message)
                        .with_hint(format!("`homeostat inspect {key}` shows what there is"))
                })?;
                writeln!(anstream::stdout(), "{text}")?;
            }
        }
        Ok(DONE)
    }
}
