//! `homeostat diff`.

use std::io::{self, Write as _};

use clap::Args;
use homeostat_reconciler::ports::{FileChange, FileChangeKind};

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};

#[derive(Args)]
pub(super) struct Diff {
    /// APP/NAME, or APP where it has one container
    container: String,
}

impl Diff {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let changes: Vec<FileChange> = access.client.get(&format!("/v1/containers/{key}/changes")).await?;
        match global.output {
            Output::Json => render::json(&changes)?,
            Output::Text => print(&changes)?,
        }
        Ok(DONE)
    }
}

fn print(changes: &[FileChange]) -> io::Result<()> {
    let mut output = io::BufWriter::new(anstream::stdout());
    for FileChange { kind, path } in changes {
        let letter = match kind {
            FileChangeKind::Added => 'A',
            FileChangeKind::Changed => 'C',
            FileChangeKind::Deleted => 'D',
        };
        writeln!(output, "{letter} {}", render::printable(path))?;
    }
    output.flush()
}
