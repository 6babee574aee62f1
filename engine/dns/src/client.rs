//! The process, seen from the engine.

use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::Report;
use crate::control::CONTROL;

/// How long it may take to read its names. It never waits for anything meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than any report has.
const REPORT_LIMIT: u64 = 1 << 20;

/// A process that answers.
#[derive(Debug)]
pub struct Responder {
    /// Its process id.
    pub pid: u32,
    /// A descriptor of it (`pidfd_open(2)`), which never means another process.
    pub process: OwnedFd,
    /// What it says after it has read its names.
    pub report: Report,
}

/// Has the process of a directory read its names anew; `None` when there is none.
///
/// # Errors
/// It does not answer, or says what cannot be understood.
pub fn ask_again(directory: &Path) -> io::Result<Option<Responder>> {
    let Some(mut stream) = connect(directory)? else { return Ok(None) };
    stream.set_read_timeout(Some(PATIENCE))?;
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    // Opened before it answers: who answers then has lived all the time, and is who it says.
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let Some(report) = read_report(&mut stream)? else { return Ok(None) };
    Ok(Some(Responder { pid: pid.as_raw_nonzero().get().cast_unsigned(), process, report }))
}

/// Connects by a short path: that of a socket has at most 107 bytes.
fn connect(directory: &Path) -> io::Result<Option<UnixStream>> {
    let directory = match rustix::fs::open(
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(directory) => directory,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(CONTROL);
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `None` when it has ended without a word.
fn read_report(stream: &mut UnixStream) -> io::Result<Option<Report>> {
    let mut text = Vec::new();
    match stream.take(REPORT_LIMIT).read_to_end(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        read => read?,
    };
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&text)?))
}
