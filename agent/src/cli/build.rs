//! `homeostat build`.

mod context;

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use clap::Args;
use context::Context;
use homeostat_reconciler::ports::BuildRequest;
use homeostat_reconciler::{ErrorKind, PortError};

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use super::secret::SecretSource;
use crate::terminal::WorkDisplay;

#[derive(Args)]
pub(super) struct Build {
    /// Directory, tar archive or git repository (URL#REFERENCE:DIRECTORY) that is the build context; - is an archive, or a
    /// Dockerfile alone, from standard input
    context: String,
    /// Reference that the image gets, as acme/web:1.4
    #[arg(short, long, value_name = "REFERENCE")]
    tag: String,
    /// Path of the Dockerfile, seen from here for a directory, else within the context; - for standard input
    /// [default: Dockerfile of the context]
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// Value for an ARG of the Dockerfile
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = parse_argument)]
    arguments: Vec<(String, String)>,
    /// Secret for RUN --mount=type=secret
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=NAME]", value_parser = SecretSource::parse)]
    secrets: Vec<SecretSource>,
    /// Agent of SSH keys for RUN --mount=type=ssh; default is that of `SSH_AUTH_SOCK`
    #[arg(long = "ssh", value_name = "ID[=SOCKET]", value_parser = parse_agent)]
    ssh: Vec<(String, PathBuf)>,
    /// Stop at this stage
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Do not use results of earlier builds
    #[arg(long)]
    no_cache: bool,
}

impl Build {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let work = async {
            let context = Context::of(&self.context, self.file.clone()).await?;
            self.build(&context, global).await
        };
        // An interruption does not leave behind what was made for the context.
        tokio::select! {
            code = work => code,
            _ = tokio::signal::ctrl_c() => {
                Err(PortError::new(ErrorKind::User, "the build was interrupted").into())
            }
        }
    }

    async fn build(&self, context: &Context, global: &Resolved) -> Result<u8, CliError> {
        let request = BuildRequest {
            reference: self.tag.clone(),
            context: context.directory.clone(),
            dockerfile: context.dockerfile.clone(),
            dockerfile_text: context.dockerfile_text.clone(),
            args: self.arguments.iter().cloned().collect::<BTreeMap<_, _>>(),
            target: self.target.clone(),
            no_cache: self.no_cache,
            secrets: self.secrets.iter().map(SecretSource::read).collect::<Result<_, _>>()?,
            ssh: self.ssh.iter().cloned().collect(),
        };
        let mut access = Access::open(global).await?;
        let display = WorkDisplay::new(global.output);
        let id = access.follow("/v1/build", &request, &display).await?;
        display.done(&request.reference, "id", &id)?;
        Ok(DONE)
    }
}

/// `ID=SOCKET`, or `ID` alone for the agent of whoever calls.
fn parse_agent(text: &str) -> Result<(String, PathBuf), String> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, PathBuf::from(socket)),
        None => (text, std::env::var_os("SSH_AUTH_SOCK").ok_or("SSH_AUTH_SOCK names no agent")?.into()),
    };
    let socket = fs_err::canonicalize(socket).map_err(|error| error.to_string())?;
    let is_socket = fs_err::metadata(&socket).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Err(format!("{} is no socket; load keys into an agent with ssh-add", socket.display()));
    }
    Ok((id.to_owned(), socket))
}

fn parse_argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an argument is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
