//! The program of the monitors and of who answers names, out of reach of the containers.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use nix::mount::{MsFlags, mount};
use rustix::fs::{Mode, OFlags};

use crate::EmbeddedError;
use crate::mount_namespace;

/// What monitors are called in lists of processes.
const NAME: &str = "homeostat";

/// The program that is run as `PROGRAM monitor ...` and `PROGRAM dns ...`.
///
/// A process that becomes one of a container still runs this program for a moment, and an image can name
/// `/proc/self/exe` as what is to be run. Through that file a container could write to the program, which the host
/// runs as root (CVE-2019-5736). So it is run through a mount that is read-only, belongs to no mount namespace, and
/// lasts as long as a descriptor or process refers to it. Nobody can make that mount writable.
///
/// It is also the same program as long as the engine is open, whatever an upgrade puts in its place meanwhile.
#[derive(Debug)]
pub(crate) struct Program {
    file: OwnedFd,
}

impl Program {
    /// Opens it through a mount of its own.
    pub(crate) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::Spawn { program: path.to_owned(), source };
        let file = mount_namespace::run(|| open_read_only(path).map_err(failed))?;
        Ok(Self { file })
    }

    /// The command `PROGRAM VERB`.
    pub(crate) fn command(&self, verb: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(self.path());
        command.arg0(NAME).arg(verb);
        command
    }

    /// The command `PROGRAM monitor VERB`.
    pub(crate) fn monitor(&self, verb: &str) -> Command {
        let mut command = self.command("monitor");
        command.arg(verb);
        command
    }

    /// Whether the process runs this very file; not if it runs what an upgrade has replaced, or if it has ended.
    pub(crate) fn is_run_by(&self, pid: u32) -> bool {
        let own = rustix::fs::fstat(&self.file);
        let theirs = rustix::fs::stat(format!("/proc/{pid}/exe"));
        own.is_ok_and(|own| {
            theirs.is_ok_and(|theirs| (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino))
        })
    }

    /// In the child the descriptor is open until it executes the program.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// Runs in a mount namespace that is gone at once, and with it every name of the mount.
fn open_read_only(path: &Path) -> io::Result<OwnedFd> {
    let path = fs::canonicalize(path)?;
    let none = None::<&str>;
    mount(Some(&path), &path, none, MsFlags::MS_BIND, none)?;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    mount(none, &path, none, flags, none)?;
    Ok(rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}
