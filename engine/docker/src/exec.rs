//! Commands in running containers.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::StreamExt as _;
use homeostat_reconciler::ports::{ExecOutcome, ExecRequest};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use nix::sys::signal::Signal;

use crate::engine::Inner;
use crate::failure::Failure;
use crate::processes::signal_session;

/// How much of what a command writes is kept, in bytes.
const OUTPUT_LIMIT: usize = 64 << 10;
/// The code that a shell gives for a program that is not there.
const NOT_FOUND: i32 = 127;
/// The code that Docker before version 23 gives for it, and every engine for one that cannot be run.
const NOT_RUN: i32 = 126;
/// What has been killed has told its end by then.
const KILLED: Duration = Duration::from_secs(5);

impl Inner {
    pub(crate) async fn exec(
        &self,
        key: &ResourceKey,
        request: &ExecRequest,
    ) -> Result<ExecOutcome, PortError> {
        let what = || format!("a command cannot be run in container {key}");
        let container = self.require(key, what()).await?;
        let Some(first) = container.observed.pid else {
            return Err(PortError::new(ErrorKind::User, format!("{}: it does not run", what())));
        };
        let run = self.run(&container.observed.id, first, request).await;
        match run {
            Err(Failure::Refused { message, .. }) if is_no_program(&message) => {
                Ok(ExecOutcome { code: Some(NOT_FOUND), output: message })
            }
            run => run.map_err(|failure| failure.about(what())),
        }
    }

    async fn run(&self, container: &str, first: u32, request: &ExecRequest) -> Result<ExecOutcome, Failure> {
        let api = self.api().await?;
        let config = ExecConfig {
            cmd: Some(request.command.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let id = self.answer(api.create_exec(container, config)).await?.id;
        let started = self.answer(api.start_exec(&id, None::<StartExecOptions>)).await?;
        let mut output = Tail::default();
        let read = async {
            if let StartExecResults::Attached { output: mut stream, .. } = started {
                while let Some(chunk) = stream.next().await {
                    output.push(&chunk.map_err(|error| Failure::new(error, &self.endpoint))?.into_bytes());
                }
            }
            Ok(())
        };
        let Ok(done) = tokio::time::timeout(request.timeout, read).await else {
            self.end_command(&api, &id, first).await?;
            return Ok(ExecOutcome { code: None, output: output.text() });
        };
        done?;
        let ended = self.answer(api.inspect_exec(&id)).await?;
        let output = output.text();
        let code = ended.exit_code.and_then(|code| code.try_into().ok());
        let code = if code == Some(NOT_RUN) && is_no_program(&output) { Some(NOT_FOUND) } else { code };
        Ok(ExecOutcome { code, output })
    }

    /// Ends a command with all that it has started. The API has no word for it: on this host the kernel is told.
    async fn end_command(&self, api: &bollard::Docker, id: &str, first: u32) -> Result<(), Failure> {
        let running = self.answer(api.inspect_exec(id)).await?;
        let pid = running.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        if !self.endpoint.is_local() {
            let message = "a command that takes too long cannot be ended on another host".to_owned();
            return Err(Failure::Refused { code: 500, message });
        }
        if let Some(pid) = pid {
            signal_session(pid, first, Signal::SIGKILL);
        }
        let ended = async {
            while self.answer(api.inspect_exec(id)).await?.running == Some(true) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(KILLED, ended).await.unwrap_or(Ok(()))
    }
}

/// Whether the engine says that it could not run the command because there is no such program.
pub(crate) fn is_no_program(message: &str) -> bool {
    let reasons = ["executable file not found", "no such file or directory"];
    message.contains("exec failed") && reasons.iter().any(|words| message.contains(words))
}

/// The end of what was written.
#[derive(Debug, Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(OUTPUT_LIMIT);
        self.0.drain(..excess);
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.0.make_contiguous()).into_owned()
    }
}
