//! The monitor of a running container, seen from here.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fs_err as fs;
use homeostat_monitor::{ProcessIdentity, Report};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::EmbeddedError;
use crate::program::Program;

/// How long a monitor may take to say how a start went. Nothing in a start waits for anything but the disk.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Name of the file in the container's directory that takes what a monitor says that fails in a way it cannot report.
const COMPLAINTS_FILE: &str = "monitor.stderr";

/// How long a killed process may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// More than any report has.
const REPORT_LIMIT: u64 = 1 << 20;

/// A monitor process, held by a descriptor that never means another process; or the one that answers names, which outlives
/// the engine too.
#[derive(Debug)]
pub(crate) struct Monitor {
    pid: u32,
    pidfd: OwnedFd,
    /// Only of a monitor that this process has started: it must be reaped.
    child: Mutex<Option<Child>>,
}

impl Monitor {
    /// Takes over the monitor that an earlier process of the engine has started; `None` when it has ended.
    pub(crate) fn adopt(identity: &ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after the descriptor pins the process: what is true now stays true of the descriptor.
        let alive = identity.is_alive();
        Ok(alive.then(|| Self { pid: identity.pid, pidfd, child: Mutex::new(None) }))
    }

    /// A monitor just started. One that cannot be watched is ended.
    pub(crate) fn started(mut child: Child) -> io::Result<Self> {
        match rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK) {
            Ok(pidfd) => Ok(Self { pid: child.id(), pidfd, child: Mutex::new(Some(child)) }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.into())
            }
        }
    }

    /// A process that somebody else has started, with a descriptor of it.
    pub(crate) fn held(pid: u32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, child: Mutex::new(None) }
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended_within(Duration::ZERO)
    }

    /// Waits for its end; says whether it came in time.
    pub(crate) fn ended_within(&self, time: Duration) -> bool {
        let mut descriptors = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let timeout = Timespec::try_from(time).ok();
        matches!(rustix::event::poll(&mut descriptors, timeout.as_ref()), Ok(1..))
    }

    /// Ends it at once; what it leaves is cleaned up by [`settle`](crate::container::Container::settle).
    pub(crate) fn kill(&self) {
        // It may have ended by itself.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
    }

    /// Ends a start that is not to be: the monitor, and what it has begun to make a container of.
    pub(crate) fn end_start(&self) -> io::Result<()> {
        self.kill();
        let deadline = Instant::now() + END_LIMIT;
        let mut ended = self.ended_within(END_LIMIT);
        while ended && end_session(self.pid)? {
            ended = Instant::now() < deadline;
            std::thread::sleep(Duration::from_millis(1));
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("monitor {} does not end", self.pid));
        if ended { Ok(()) } else { Err(late()) }
    }

    /// Takes a monitor that has ended out of the process table, if that is on us.
    pub(crate) fn reap(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_some())) {
            *child = None;
        }
    }
}

/// Starts `PROGRAM monitor run DIRECTORY`. It goes on without this process. One who is `attached` is there from the start.
///
/// Returns the monitor and the pipe that its [`Report`] comes through.
pub(crate) fn spawn(
    program: &Program,
    directory: &Path,
    attached: Option<OwnedFd>,
) -> Result<(Monitor, OwnedFd), EmbeddedError> {
    let failed = |source| EmbeddedError::Spawn { program: program.path(), source };
    let complaints = fs::File::create(directory.join(COMPLAINTS_FILE))?.into_parts().0;
    let mut child = program
        .monitor("run")
        .arg(directory)
        .stdin(attached.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(complaints)
        .current_dir("/")
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let monitor = Monitor::started(child).map_err(failed)?;
    Ok((monitor, stdout.into()))
}

/// Waits for the report of a monitor that was just started in `directory`.
pub(crate) async fn report(pipe: OwnedFd, directory: &Path) -> Result<Report, EmbeddedError> {
    let receiver = pipe::Receiver::from_owned_fd(pipe).map_err(EmbeddedError::Report)?;
    let mut text = Vec::new();
    let mut receiver = receiver.take(REPORT_LIMIT);
    let reading = receiver.read_to_end(&mut text);
    match tokio::time::timeout(START_LIMIT, reading).await {
        Err(_) => return Err(EmbeddedError::StartTimeout),
        Ok(read) => read.map_err(EmbeddedError::Report)?,
    };
    if text.is_empty() {
        return Err(EmbeddedError::MonitorDied { complaints: directory.join(COMPLAINTS_FILE) });
    }
    serde_json::from_slice(&text).map_err(|error| EmbeddedError::Report(error.into()))
}

/// Monitors that run for a directory in `containers`: those of a start that was cut off have told nobody yet.
pub(crate) fn find_all(containers: &Path) -> io::Result<Vec<(PathBuf, ProcessIdentity)>> {
    find(&["monitor", "run"], |directory| directory.starts_with(containers))
}

/// Processes `PROGRAM WORDS... DIRECTORY` for a directory that is wanted.
pub(crate) fn find(
    words: &[&str],
    is_wanted: impl Fn(&Path) -> bool,
) -> io::Result<Vec<(PathBuf, ProcessIdentity)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end at any moment here, and then is of no interest.
        let Ok(identity) = ProcessIdentity::of(pid) else { continue };
        let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        if let Some(directory) = directory_after(words, &arguments).filter(|path| is_wanted(path)) {
            found.push((directory, identity));
        }
    }
    Ok(found)
}

/// The directory of `PROGRAM WORDS... DIRECTORY`.
fn directory_after(words: &[&str], arguments: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
    let is_such = words.iter().all(|word| arguments.next() == Some(word.as_bytes()));
    let directory = arguments.next().filter(|_| is_such)?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(directory)))
}

/// Ends the monitor of a cut-off start, and what it has begun to make a container of.
pub(crate) fn end_stray(identity: &ProcessIdentity) -> io::Result<()> {
    match Monitor::adopt(identity)? {
        Some(monitor) => monitor.end_start(),
        None => Ok(()),
    }
}

/// Kills the processes of the session that a monitor leads; says whether there were any. Its children leave the session
/// only when they are in the container's control groups already.
fn end_session(leader: u32) -> io::Result<bool> {
    let leader = nix::unistd::Pid::from_raw(leader.cast_signed());
    let mut found = false;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let pid = nix::unistd::Pid::from_raw(pid);
        if nix::unistd::getsid(Some(pid)) == Ok(leader) && !is_zombie(pid) {
            found = true;
            // It may end by itself meanwhile.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        }
    }
    Ok(found)
}

/// Whether it has ended and only waits to be reaped.
fn is_zombie(pid: nix::unistd::Pid) -> bool {
    let alive = u32::try_from(pid.as_raw()).ok().and_then(|pid| ProcessIdentity::of(pid).ok());
    alive.is_none_or(|identity| !identity.is_alive())
}
