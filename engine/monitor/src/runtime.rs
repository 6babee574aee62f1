//! Making a container with libcontainer, and knowing why it could not be made.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use homeostat_reconciler::ports::TerminalSize;
use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::fcntl::OFlag;
use oci_spec::runtime::{Capabilities, Spec};

use crate::container::executor::{Narrowing, Program};
use crate::container::seccomp;
use crate::failure::{OrFail as _, chain};
use crate::stdio::Ends;
use crate::{Failure, FailureKind, ProcessIdentity};

/// What a program gets as its stdin, stdout and stderr.
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Streams {
    /// Nothing to read, and the output of this process.
    pub(crate) fn inherited() -> io::Result<Self> {
        Ok(Self {
            stdin: nothing_to_read()?,
            stdout: rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?,
            stderr: rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)?,
        })
    }
}

/// Reads as empty.
pub(crate) fn nothing_to_read() -> io::Result<OwnedFd> {
    Ok(fs::OpenOptions::new().read(true).open("/dev/null")?.into_parts().0.into())
}

/// Makes the container and starts its program; returns its first process once the program runs.
///
/// `bundle` is the directory where the specification is kept, `runtime_dir` that of all containers.
pub(crate) fn start(
    id: &str,
    spec: &Spec,
    bundle: &Path,
    runtime_dir: &Path,
    ends: Ends,
    prepared: Prepared,
) -> Result<ProcessIdentity, Failure> {
    save(spec, &bundle.join("config.json"))?;
    fs::create_dir_all(runtime_dir).or_fail(FailureKind::Runtime, "make the runtime's directory")?;
    let (words, channel) = channel()?;
    let program = prepared.program(channel, runtime_dir)?;
    let builder =
        builder(id, runtime_dir, ends, program).or_fail(FailureKind::Runtime, "prepare the container")?;
    let made = builder.as_init(bundle).with_systemd(false).with_detach(true).build();
    let mut container = made.map_err(|error| why(&words, &error))?;
    container.start().map_err(|error| why(&words, &error))?;
    match heard(&words) {
        Some(failure) => Err(failure),
        None => identity(&container),
    }
}

/// Starts a program in a running container; returns its process once the program runs.
pub(crate) fn join(
    id: &str,
    runtime_dir: &Path,
    ends: Ends,
    prepared: Prepared,
    configure: impl FnOnce(ContainerBuilder) -> Result<nix::unistd::Pid, LibcontainerError>,
) -> Result<nix::unistd::Pid, Failure> {
    let (words, channel) = channel()?;
    let program = prepared.program(channel, runtime_dir)?;
    let builder =
        builder(id, runtime_dir, ends, program).or_fail(FailureKind::Runtime, "prepare the program")?;
    let pid = configure(builder).map_err(|error| why(&words, &error))?;
    heard(&words).map_or(Ok(pid), Err)
}

/// Readable by root only: the environment may hold secrets.
fn save(spec: &Spec, path: &Path) -> Result<(), Failure> {
    let attempted = "save the OCI specification";
    let text = serde_json::to_vec(spec).or_fail(FailureKind::Runtime, attempted)?;
    let mut file = fs::OpenOptions::new();
    file.write(true).create(true).truncate(true).mode(0o600);
    file.open(path).and_then(|mut file| file.write_all(&text)).or_fail(FailureKind::Runtime, attempted)
}

/// What a program has beside what its specification says.
pub(crate) struct Prepared {
    /// What it may do; its specification has what its start takes.
    pub(crate) granted: Capabilities,
    /// More variables.
    pub(crate) variables: Vec<String>,
    /// The size of its terminal, if it has one.
    pub(crate) terminal: Option<TerminalSize>,
}

impl Prepared {
    fn program(self, channel: OwnedFd, runtime_dir: &Path) -> Result<Program, Failure> {
        let Self { granted, variables, terminal } = self;
        let filter = seccomp::filter(&granted, runtime_dir)
            .or_fail(FailureKind::Unsupported, "make the filter of system calls")?;
        Ok(Program::new(channel, Narrowing { filter, granted }, variables, terminal))
    }
}

/// The first process of a container.
pub(crate) fn identity(container: &Container) -> Result<ProcessIdentity, Failure> {
    let pid = container.pid().map_or(0, |pid| pid.as_raw().cast_unsigned());
    ProcessIdentity::of(pid).or_fail(FailureKind::Runtime, "find the container's first process")
}

fn builder(
    id: &str,
    runtime_dir: &Path,
    ends: Ends,
    program: Program,
) -> Result<ContainerBuilder, LibcontainerError> {
    let builder = ContainerBuilder::new(id.to_owned(), SyscallType::default()).with_executor(program);
    let builder = match ends {
        Ends::Streams(Streams { stdin, stdout, stderr }) => {
            builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)
        }
        Ends::Console(socket) => builder.with_console_socket(Some(socket)),
    };
    builder.validate_id()?.with_root_path(runtime_dir)
}

/// What the container's first process tells before it becomes the program: reading end, writing end.
fn channel() -> Result<(OwnedFd, OwnedFd), Failure> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).or_fail(FailureKind::Runtime, "make a pipe")
}

/// Waits until the program runs, or the reason why it does not has come.
fn heard(words: &OwnedFd) -> Option<Failure> {
    let mut text = Vec::new();
    let file = words.try_clone().ok()?;
    std::fs::File::from(file).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The reason that the container's first process gave, else what libcontainer says.
fn why(words: &OwnedFd, error: &LibcontainerError) -> Failure {
    heard(words).unwrap_or_else(|| {
        let text = chain(error);
        let kind = if is_exhausted(&text) { FailureKind::Exhausted } else { FailureKind::Runtime };
        Failure::new(kind, format!("the container could not be made: {text}"))
    })
}

/// Errors of libcontainer's processes come as text.
fn is_exhausted(text: &str) -> bool {
    ["ENOSPC", "ENOMEM", "EAGAIN", "No space left", "Cannot allocate memory"]
        .iter()
        .any(|sign| text.contains(sign))
}
