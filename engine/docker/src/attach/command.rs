//! Commands in containers, for somebody who is there, and for nobody.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::ClientVersion;
use bollard::exec::{ResizeExecOptions, StartExecOptions};
use bollard::models::{ExecConfig, ExecInspectResponse};
use homeostat_reconciler::ports::{AttachEnd, Attachment, ExecAttachRequest, TerminalSize};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::NO_DETACH_KEYS;
use super::connection::take_over;
use super::session::{Program, Terms, attachment};
use crate::Flavour;
use crate::containers::code_of_failed_start;
use crate::engine::Inner;
use crate::exec::is_no_program;
use crate::failure::Failure;
use crate::processes::{signal_process, signal_session};

/// The codes that a shell gives for a program that cannot be run, and for one that is not there.
const NOT_RUN: i64 = 126;
const NOT_FOUND: i64 = 127;
/// The first version of the API with the size that a terminal has from the start: Docker 23's.
const SIZED: ClientVersion = ClientVersion { major_version: 1, minor_version: 42 };
/// Time between two looks at whether a command has ended, at first; it grows up to the last.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// A command that was begun has a process by then.
const BEGUN: Duration = Duration::from_secs(5);

impl Inner {
    /// Runs a command for somebody who is connected to it.
    pub(crate) async fn exec_attached(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Attachment, PortError> {
        let what = || format!("a command cannot be run in container {key}");
        let command = self.prepare(key, request, true, what()).await?;
        let path = match self.versioned(&format!("/exec/{}/start", command.id)).await {
            Ok(path) => path,
            Err(failure) => return Err(failure.about(what())),
        };
        let body = start_body(request.terminal);
        let connection = take_over(&self.endpoint, &path, body.to_string().into_bytes()).await;
        let connection = connection.map_err(|failure| failure.about(what()))?;
        if let Some(size) = request.terminal
            && !command.is_sized
        {
            command.resize(size).await;
        }
        let terminal = request.terminal.is_some();
        let terms = Terms { terminal, stdin: request.stdin, owned: true, ends_input: !terminal };
        Ok(attachment(connection, Arc::new(command), terms))
    }

    /// Begins a command that nobody is connected to; says why if it could not be run.
    pub(crate) async fn exec_detached(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Option<AttachEnd>, PortError> {
        let what = || format!("a command cannot be run in container {key}");
        let command = self.prepare(key, request, false, what()).await?;
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let detached =
            StartExecOptions { detach: true, tty: request.terminal.is_some(), ..StartExecOptions::default() };
        match self.answer(api.start_exec(&command.id, Some(detached))).await {
            Ok(_) => Ok(None),
            Err(Failure::Refused { message, .. }) if is_of_runtime(&message) => Ok(Some(AttachEnd {
                code: Some(code_of_failed_start(&message)),
                error: Some(message),
                hint: None,
            })),
            Err(failure) => Err(failure.about(what())),
        }
    }

    /// Tells the engine of a command, which does not run by that.
    async fn prepare(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &ExecAttachRequest,
        attached: bool,
        what: String,
    ) -> Result<Command, PortError> {
        let container = self.require(key, what.clone()).await?;
        let Some(first) = container.observed.pid else {
            return Err(PortError::new(ErrorKind::User, format!("{what}: it does not run")));
        };
        let created = async {
            let api = self.api().await?;
            let is_sized = self.flavour == Flavour::Podman || api.client_version() >= SIZED;
            let size = request.terminal.filter(|_| is_sized && self.flavour == Flavour::Docker);
            let config = ExecConfig {
                attach_stdin: Some(attached && request.stdin),
                attach_stdout: Some(attached),
                attach_stderr: Some(attached),
                console_size: size.map(|size| vec![size.rows.into(), size.columns.into()]),
                detach_keys: Some(NO_DETACH_KEYS.to_owned()),
                tty: Some(request.terminal.is_some()),
                env: Some(request.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
                cmd: Some(request.command.clone()),
                user: request.user.clone(),
                working_dir: request.working_dir.clone(),
                ..ExecConfig::default()
            };
            let id = self.answer(api.create_exec(&container.observed.id, config)).await?.id;
            let (engine, terminal) = (Arc::clone(self), request.terminal.is_some());
            Ok(Command { engine, id, first, is_sized, terminal, process: OnceLock::new() })
        };
        created.await.map_err(|failure: Failure| failure.about(what))
    }

    /// The path of something in the version of the API that was agreed on.
    pub(super) async fn versioned(&self, path: &str) -> Result<String, Failure> {
        Ok(format!("/v{}{path}", self.api().await?.client_version()))
    }
}

/// What starts it. Docker has the size of the terminal from its creation, Podman takes it here.
fn start_body(terminal: Option<TerminalSize>) -> Value {
    match terminal {
        Some(size) => json!({
            "Detach": false,
            "Tty": true,
            "ConsoleSize": [size.rows, size.columns],
            "h": size.rows,
            "w": size.columns,
        }),
        None => json!({ "Detach": false, "Tty": false }),
    }
}

/// Whether the engine says this because the runtime could not run a program.
pub(super) fn is_of_runtime(message: &str) -> bool {
    ["OCI runtime", "crun:", "runc:", "exec failed"].iter().any(|words| message.contains(words))
}

/// The code of what was never run, by what the engine says of it: Docker before 25 gives 126 for all.
pub(super) fn code_of(code: i32, said: &str) -> i32 {
    if i64::from(code) == NOT_RUN && is_no_program(said) { code_of_failed_start(said) } else { code }
}

/// A command in a container.
#[derive(Debug)]
struct Command {
    engine: Arc<Inner>,
    id: String,
    /// The container's first process.
    first: u32,
    /// Its terminal has its size from the start.
    is_sized: bool,
    terminal: bool,
    /// Its process, once it is known.
    process: OnceLock<u32>,
}

impl Command {
    async fn look(&self) -> Result<ExecInspectResponse, Failure> {
        let api = self.engine.api().await?;
        self.engine.answer(api.inspect_exec(&self.id)).await
    }

    /// Its process, as this host knows it. On another host there is none.
    async fn process(&self) -> Option<u32> {
        if !self.engine.endpoint.is_local() || self.process.get().is_some() {
            return self.process.get().copied();
        }
        let begun = async {
            loop {
                let seen = self.look().await.ok().filter(|seen| seen.running == Some(true))?;
                if let Some(pid) = seen.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) {
                    return Some(pid);
                }
                tokio::time::sleep(FIRST_LOOK).await;
            }
        };
        let process = tokio::time::timeout(BEGUN, begun).await.ok().flatten()?;
        Some(*self.process.get_or_init(|| process))
    }
}

#[async_trait]
impl Program for Command {
    async fn resize(&self, size: TerminalSize) {
        let Ok(api) = self.engine.api().await else { return };
        let size = ResizeExecOptions { height: size.rows, width: size.columns };
        // It may have ended just now.
        if let Err(failure) = self.engine.answer(api.resize_exec(&self.id, size)).await {
            tracing::debug!(%failure, "a terminal has not got its size");
        }
    }

    async fn signal(&self, number: i32) {
        if let (Some(process), Ok(signal)) = (self.process().await, Signal::try_from(number)) {
            signal_process(process, self.first, signal);
        }
    }

    async fn is_refusal(&self, first: &[u8]) -> bool {
        let Ok(seen) = self.look().await else { return false };
        let is_marked = match self.engine.flavour {
            Flavour::Docker => seen.pid.is_none_or(|pid| pid == 0),
            Flavour::Podman => first.starts_with(b"Error: "),
        };
        is_marked && seen.running != Some(true) && matches!(seen.exit_code, Some(NOT_RUN | NOT_FOUND))
    }

    async fn end(&self) -> Result<AttachEnd, PortError> {
        let mut pause = FIRST_LOOK;
        loop {
            let seen = self.look().await;
            let seen = seen.map_err(|failure| failure.about("how the command has ended is not known"))?;
            if seen.running != Some(true) {
                let code = seen.exit_code.and_then(|code| code.try_into().ok());
                return Ok(AttachEnd { code, ..AttachEnd::default() });
            }
            tokio::time::sleep(pause).await;
            pause = LAST_LOOK.min(pause * 2);
        }
    }

    async fn begun(&self) {
        self.process().await;
    }

    fn abandon(&self) {
        if let Some(process) = self.process.get().copied() {
            let signal = if self.terminal { Signal::SIGHUP } else { Signal::SIGKILL };
            signal_session(process, self.first, signal);
        }
    }
}
