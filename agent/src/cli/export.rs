//! `homeostat export`.

use std::path::PathBuf;

use clap::Args;

use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use super::{DONE, archives};

#[derive(Args)]
pub(super) struct Export {
    /// APP/NAME, or APP where it has one container
    container: String,
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        archives::refuse_terminal(self.file.as_deref(), "--file")?;
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let archive = access.client.get_bytes(&format!("/v1/containers/{key}/export")).await?;
        archives::write(self.file.as_deref(), archive).await?;
        Ok(DONE)
    }
}
