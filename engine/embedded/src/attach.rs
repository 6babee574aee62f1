//! Connecting somebody to containers, and to commands in them.

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use homeostat_attach::{ConnectError, Frame};
use homeostat_monitor::{ATTACH_SOCKET, ExecMode, ExecRequest as MonitorRequest, Process, Report};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{AttachEnd, AttachOutput, AttachRequest, Attachment, ExecAttachRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::EmbeddedError;
use crate::container::{Container, Run};
use crate::engine::Inner;
use crate::monitor::{self, Monitor};
use crate::run::wait_for_end;

/// How long a monitor whose container has ended may take to end itself.
const END_LIMIT: Duration = Duration::from_secs(10);

impl Inner {
    /// Connects to a container that runs. Of one that has run there is nothing left but how it ended.
    pub(crate) async fn attach(
        &self,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, EmbeddedError> {
        let container = self.require(key)?;
        let Some(live) = container.live()? else { return over(&container) };
        let terminal = container.record().config.tty;
        let connected = async { homeostat_attach::open(connect(&container).await?, request, terminal).await };
        match connected.await {
            Ok(attachment) => Ok(to_the_last(attachment, Some(live.monitor))),
            Err(error) if !is_gone(&error) => Err(EmbeddedError::Attach { key: key.clone(), source: error }),
            Err(_) if tokio::time::timeout(END_LIMIT, wait_for_end(&live.monitor)).await.is_ok() => {
                container.settle()?;
                over(&container)
            }
            Err(_) => Err(EmbeddedError::CannotAttach(key.clone())),
        }
    }

    /// Starts a container with somebody connected to it already.
    pub(crate) async fn start_attached(
        self: &Arc<Self>,
        key: &ResourceKey,
        request: &AttachRequest,
    ) -> Result<Attachment, EmbeddedError> {
        let container = self.require(key)?;
        let failed = |error: io::Error| EmbeddedError::Attach { key: key.clone(), source: error.into() };
        let (near, far) = introduced(request).map_err(failed)?;
        if !self.start_container(key, Some(far)).await? {
            return self.attach(key, request).await;
        }
        let monitor = match &container.lock().run {
            Run::Live(live) => Some(Arc::clone(&live.monitor)),
            Run::Never | Run::Ended(_) => None,
        };
        let attachment = homeostat_attach::connect(near, container.record().config.tty);
        Ok(to_the_last(attachment, monitor))
    }

    /// Runs a command for somebody who is connected to it.
    pub(crate) async fn exec_attached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Attachment, EmbeddedError> {
        let mode = ExecMode::Attached { stdin: request.stdin, terminal: request.terminal };
        let (near, far) =
            UnixStream::pair().map_err(|source| EmbeddedError::Exec { key: key.clone(), source })?;
        let far = far.into_std().map(OwnedFd::from);
        let far = far.map_err(|source| EmbeddedError::Exec { key: key.clone(), source })?;
        self.spawn_exec(key, request, mode, far.into()).await?;
        Ok(homeostat_attach::connect(near, request.terminal.is_some()))
    }

    /// Begins a command that nobody is connected to; says why if it could not be run.
    pub(crate) async fn exec_detached(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
    ) -> Result<Option<AttachEnd>, EmbeddedError> {
        let container = self.require(key)?;
        let mode = ExecMode::Detached { terminal: request.terminal };
        let failed = |source| EmbeddedError::Exec { key: key.clone(), source };
        let (reading, writing) = io::pipe().map_err(failed)?;
        self.spawn_exec(key, request, mode, writing.into()).await?;
        match monitor::report(reading.into(), &container.directory).await? {
            Report::Ready(_) => Ok(None),
            Report::Failed(failure) => Ok(Some(AttachEnd {
                code: Some(failure.kind.exit_code()),
                error: Some(failure.message),
                hint: failure.hint,
            })),
        }
    }

    /// Starts the process that runs a command. It goes on without this one.
    async fn spawn_exec(
        &self,
        key: &ResourceKey,
        request: &ExecAttachRequest,
        mode: ExecMode,
        stdout: Stdio,
    ) -> Result<(), EmbeddedError> {
        let container = self.require(key)?;
        if container.live()?.is_none() {
            return Err(EmbeddedError::NotRunning(key.clone()));
        }
        let document = MonitorRequest {
            mode,
            parent: std::process::id(),
            runtime_dir: self.layout.runtime(),
            id: container.id.clone(),
            process: Process {
                groups: Vec::new(),
                args: request.command.clone(),
                env: request.env.clone(),
                cwd: request.working_dir.clone(),
                user: request.user.clone(),
                additional_gids: Vec::new(),
            },
            timeout_millis: None,
        };
        let mut command = Command::from(self.program.monitor("exec"));
        command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::null()).current_dir("/");
        let failed = |source| EmbeddedError::Exec { key: key.clone(), source };
        let mut child = command.spawn().map_err(failed)?;
        let handed = hand_over(&mut child, &document).await;
        tokio::spawn(async move { child.wait().await });
        handed.map_err(failed)
    }
}

async fn hand_over(child: &mut Child, document: &MonitorRequest) -> io::Result<()> {
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    match stdin.write_all(&serde_json::to_vec(document)?).await {
        // It has ended already, and says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Two ends of a connection, with the request on its way to the far one.
fn introduced(request: &AttachRequest) -> io::Result<(UnixStream, OwnedFd)> {
    let (mut near, far) = StdUnixStream::pair()?;
    near.write_all(&Frame::Request(request.clone()).to_bytes())?;
    near.set_nonblocking(true)?;
    Ok((UnixStream::from_std(near)?, far.into()))
}

/// The monitor's socket, however long its path is.
async fn connect(container: &Container) -> io::Result<UnixStream> {
    let directory = fs_err::File::open(&container.directory)?;
    let path = format!("/proc/self/fd/{}/{ATTACH_SOCKET}", directory.file().as_raw_fd());
    UnixStream::connect(path).await
}

/// Whether nobody is there any more, or never was.
fn is_gone(error: &ConnectError) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    match error {
        ConnectError::Ended => true,
        ConnectError::Io(error) => {
            matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotFound)
        }
        ConnectError::Frame(_) | ConnectError::Refused(_) => false,
    }
}

/// Tells the end only when the monitor is gone too: the container can then be started again, or removed.
fn to_the_last(attachment: Attachment, monitor: Option<Arc<Monitor>>) -> Attachment {
    let Some(monitor) = monitor else { return attachment };
    let output = attachment.output.then(move |item| {
        let monitor = Arc::clone(&monitor);
        async move {
            if matches!(item, Ok(AttachOutput::End(_))) {
                let _ = tokio::time::timeout(END_LIMIT, wait_for_end(&monitor)).await;
            }
            item
        }
    });
    Attachment { output: output.boxed(), ..attachment }
}

/// What is left of a run that is over.
fn over(container: &Container) -> Result<Attachment, EmbeddedError> {
    let Run::Ended(ended) = &container.lock().run else {
        return Err(EmbeddedError::NotRunning(container.key.clone()));
    };
    let end = AttachEnd { code: ended.status.code, error: ended.status.error.clone(), hint: None };
    Ok(Attachment {
        terminal: false,
        input: Box::pin(futures::sink::unfold((), |(), _| futures::future::ok(()))),
        output: futures::stream::iter([Ok(AttachOutput::End(end))]).boxed(),
    })
}
