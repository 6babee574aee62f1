//! `homeostat exec`.

use clap::Args;
use homeostat_reconciler::ports::{AttachEnd, ExecAttachRequest};
use homeostat_reconciler::{ErrorKind, PortError};

use super::DONE;
use super::access::Access;
use super::container::variables;
use super::errors::CliError;
use super::options::Resolved;
use super::session::{DetachKeys, Returned, Session, is_typed_at, window};

#[derive(Args)]
pub(super) struct Exec {
    /// Pass stdin on to the command
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Return at once; the command goes on, and what it writes goes nowhere
    #[arg(short, long, conflicts_with = "interactive")]
    detach: bool,
    /// UID, UID:GID, USER or USER:GROUP [default: the container's]
    #[arg(short, long)]
    user: Option<String>,
    /// A variable beside the container's own; without a value, as it is here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Working directory in the container [default: the container's]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Keys that leave the command to itself, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// APP/NAME, or APP where it has one container
    container: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        if self.tty && self.interactive && !is_typed_at() {
            let error = PortError::new(ErrorKind::User, "there is no terminal to type at: stdin is none");
            return Err(error.with_hint("leave -t out to pass on what stdin has").into());
        }
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let request = ExecAttachRequest {
            command: self.command,
            env: variables(&[], &self.env)?,
            user: self.user,
            working_dir: self.workdir,
            stdin: self.interactive,
            terminal: self.tty.then(|| window().unwrap_or_default()),
        };
        if self.detach {
            let path = format!("/v1/containers/{key}/exec-detached");
            let ended: Option<AttachEnd> = access.client.post(&path, &request).await?;
            return Ok(ended.map_or(DONE, |end| Returned::Ended(end).code()));
        }
        let attachment = access.attach(&format!("/v1/containers/{key}/exec"), &request).await?;
        let session = Session { stdin: self.interactive, detach_keys: self.detach_keys, signals: true };
        Ok(session.stay(attachment).await?.code())
    }
}
