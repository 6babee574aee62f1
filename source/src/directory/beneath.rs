//! Opening what is in a directory, and nothing else.

use std::path::Path;

use homeostat_reconciler::{ErrorKind, PortError};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::content::{ContentError, is_git_directory, show};

/// An open regular file or directory.
pub(super) struct Entry {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
}

impl Entry {
    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode).is_dir()
    }
}

/// Opens the directory that the source is now, through whatever links lead to it.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, PortError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let (kind, hint) = match errno {
            Errno::NOENT => (ErrorKind::Config, "create it, or name another with --source"),
            Errno::NOTDIR => (ErrorKind::Config, "name the directory that the spec files are in"),
            Errno::ACCESS | Errno::LOOP => (ErrorKind::Config, "make it readable for homeostat"),
            _ => (ErrorKind::Transient, "check the file system that it is on"),
        };
        PortError::new(kind, format!("cannot read the source directory {}", path.display()))
            .caused_by(std::io::Error::from(errno))
            .with_hint(hint)
    })
}

/// Opens a file or directory below the root; `None` if there is none.
///
/// The kernel refuses every path and link that leads out (openat2(2), `RESOLVE_BENEATH`). What it is gets looked at
/// before it is opened for reading, as to open a device can do something.
pub(super) fn open(root: &OwnedFd, path: &str) -> Result<Option<Entry>, ContentError> {
    if path.split('/').any(|component| is_git_directory(component.as_bytes())) {
        return Err(ContentError::GitDirectory(path.to_owned()));
    }
    let Some(looked_at) = resolve(root, path, OFlags::PATH)? else {
        return Ok(None);
    };
    let Some(opened) = resolve(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)? else {
        return Err(ContentError::Changed(path.to_owned()));
    };
    if (opened.stat.st_dev, opened.stat.st_ino) == (looked_at.stat.st_dev, looked_at.stat.st_ino) {
        Ok(Some(opened))
    } else {
        Err(ContentError::Changed(path.to_owned()))
    }
}

/// What a file directly in the root is, links followed, without opening it.
pub(super) fn look(root: &OwnedFd, name: &str) -> Result<Option<Stat>, ContentError> {
    Ok(resolve(root, name, OFlags::PATH)?.map(|entry| entry.stat))
}

fn resolve(root: &OwnedFd, path: &str, flags: OFlags) -> Result<Option<Entry>, ContentError> {
    let shown = Path::new(path);
    let opened = if path.is_empty() { openat2(root, ".", flags) } else { openat2(root, path, flags) };
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::XDEV) => return Err(ContentError::Leaves(show(shown))),
        Err(Errno::LOOP) => return Err(ContentError::LinkLoop(show(shown))),
        Err(errno) => return Err(ContentError::io("open", shown)(errno)),
    };
    let stat = rustix::fs::fstat(fd.as_fd()).map_err(ContentError::io("open", shown))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => Ok(Some(Entry { fd, stat })),
        _ => Err(ContentError::Special(show(shown))),
    }
}

fn openat2(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: something was renamed meanwhile, and the kernel could not be sure about a `..`.
    for _ in 0..100 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}
