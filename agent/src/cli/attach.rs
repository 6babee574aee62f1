//! `homeostat attach`.

use clap::Args;
use homeostat_reconciler::ports::AttachRequest;

use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use super::session::{DetachKeys, Session, window};

#[derive(Args)]
pub(super) struct Attach {
    /// Pass nothing on that is typed
    #[arg(long)]
    no_stdin: bool,
    /// Leave signals to this command, where the container has no terminal
    #[arg(long)]
    no_signals: bool,
    /// Keys that leave the container to itself, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// APP/NAME, or APP where it has one container
    container: String,
}

impl Attach {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let request = AttachRequest { stdin: !self.no_stdin, foreground: false, size: window() };
        let attachment = access.attach(&format!("/v1/containers/{key}/attach"), &request).await?;
        let session =
            Session { stdin: !self.no_stdin, detach_keys: self.detach_keys, signals: !self.no_signals };
        Ok(session.stay(attachment).await?.code())
    }
}
