//! Commands in running containers.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use homeostat_monitor::{ExecMode, ExecRequest as MonitorRequest, Process};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{ExecOutcome, ExecRequest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::EmbeddedError;
use crate::engine::Inner;

/// How much of a command's output is kept, in bytes.
const OUTPUT_KEPT: usize = 64 << 10;

/// How much is read at once, in bytes.
const CHUNK: usize = 8 << 10;

/// The monitor's exit code after it has killed a command whose time was up. A command may have it too.
const TIMED_OUT: i32 = 124;

/// How long the monitor may take beyond the timeout to kill the command and say so.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How long output may still come after the command has ended. What it has left behind in the container may keep the
/// streams open for ever.
const OUTPUT_LIMIT: Duration = Duration::from_secs(1);

impl Inner {
    /// Runs a command in a container that runs.
    pub(crate) async fn exec(
        &self,
        key: &ResourceKey,
        request: &ExecRequest,
    ) -> Result<ExecOutcome, EmbeddedError> {
        let container = self.require(key)?;
        if container.live()?.is_none() {
            return Err(EmbeddedError::NotRunning(key.clone()));
        }
        let failed = |source| EmbeddedError::Exec { key: key.clone(), source };
        let document = MonitorRequest {
            mode: ExecMode::Waiting,
            parent: std::process::id(),
            runtime_dir: self.layout.runtime(),
            id: container.id.clone(),
            process: Process {
                args: request.command.clone(),
                env: std::collections::BTreeMap::new(),
                cwd: None,
                user: None,
                additional_gids: Vec::new(),
                groups: Vec::new(),
            },
            timeout_millis: Some(request.timeout.as_millis().try_into().unwrap_or(u64::MAX)),
        };
        let document = serde_json::to_vec(&document).map_err(|error| failed(error.into()))?;
        let mut command = Command::from(self.program.monitor("exec"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
        finish(&mut child, &document, request.timeout).await.map_err(failed)
    }
}

/// Hands the document over, gathers the output, and waits for the end.
async fn finish(child: &mut Child, document: &[u8], timeout: Duration) -> io::Result<ExecOutcome> {
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let stderr = child.stderr.take().expect("stderr was asked to be a pipe");
    let mut output = Tail::default();
    let began = Instant::now();
    let running = async {
        match stdin.write_all(document).await {
            // It has ended already, and its code says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        drop(stdin);
        let gathering = pin!(output.gather(stdout, stderr));
        match select(gathering, pin!(child.wait())).await {
            Either::Left((gathered, ending)) => gathered.and(ending.await),
            Either::Right((status, gathering)) => {
                if let Ok(gathered) = tokio::time::timeout(OUTPUT_LIMIT, gathering).await {
                    gathered?;
                }
                status
            }
        }
    };
    let status = tokio::time::timeout(timeout.saturating_add(KILL_LIMIT), running).await;
    let code = if let Ok(status) = status {
        status?.code().filter(|code| *code != TIMED_OUT || began.elapsed() < timeout)
    } else {
        child.kill().await?;
        None
    };
    Ok(ExecOutcome { code, output: output.text() })
}

/// The last bytes of what was written.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads both streams to their ends, in the order in which they come.
    async fn gather(
        &mut self,
        mut stdout: impl AsyncRead + Unpin,
        mut stderr: impl AsyncRead + Unpin,
    ) -> io::Result<()> {
        let (mut of_stdout, mut of_stderr) = (vec![0; CHUNK], vec![0; CHUNK]);
        let (mut stdout_open, mut stderr_open) = (true, true);
        while stdout_open || stderr_open {
            tokio::select! {
                read = stdout.read(&mut of_stdout), if stdout_open => {
                    let length = read?;
                    stdout_open = length > 0;
                    self.push(&of_stdout[..length]);
                }
                read = stderr.read(&mut of_stderr), if stderr_open => {
                    let length = read?;
                    stderr_open = length > 0;
                    self.push(&of_stderr[..length]);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let superfluous = self.0.len().saturating_sub(OUTPUT_KEPT);
        self.0.drain(..superfluous);
    }

    /// As text of at most [`OUTPUT_KEPT`] bytes. A character that was cut in two at the beginning is left out.
    fn text(mut self) -> String {
        let bytes = self.0.make_contiguous();
        let is_continuation = |byte: &u8| byte & 0xc0 == 0x80;
        let cut = bytes.iter().take(3).take_while(|byte| is_continuation(byte)).count();
        String::from_utf8_lossy(&bytes[cut..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_end_and_whole_characters() {
        let mut tail = Tail::default();
        tail.push("ü".repeat(OUTPUT_KEPT).as_bytes());
        tail.push(b"end");
        let text = tail.text();
        assert!(text.len() <= OUTPUT_KEPT && text.ends_with("üend") && text.starts_with('ü'));
    }
}
