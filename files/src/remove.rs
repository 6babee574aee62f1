//! Removal that follows no link and enters no mount.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::FileError;
use crate::root::names;

/// How deep removal descends before it moves what is deeper to the top: a descriptor is held for each level.
const DEPTH_LIMIT: usize = 64;

/// Removes `path` with everything beneath, as `rm -rf --one-file-system`, and says whether anything was there.
///
/// # Guarantees
/// No symbolic link is followed beneath the directory of `path`. Nothing in a mounted file system is removed: a mount
/// at or beneath `path` is an error, and what it hides and holds stays. Trees of any depth are removed.
///
/// # Errors
/// When something is mounted there, or the kernel refuses; what was removed until then stays removed.
pub fn remove_tree(path: impl AsRef<Path>) -> Result<bool, FileError> {
    let path = path.as_ref();
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(FileError::new("remove", path, Errno::INVAL));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match rustix::fs::openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(parent) => remove_name(parent.as_fd(), name, path),
        Err(Errno::NOENT) => Ok(false),
        Err(source) => Err(FileError::new("open the directory of", path, source)),
    }
}

pub(crate) fn remove_name(parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<bool, FileError> {
    let failed = |errno| FileError::new("remove", path, refusal(errno));
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(source) => return Err(failed(source)),
    }
    let top = match open_directory(parent, name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(false),
        // It was a file after all, and the first refusal is the reason.
        Err(Errno::NOTDIR) => return Err(failed(Errno::PERM)),
        Err(source) => return Err(failed(source)),
    };
    let mut moved = 0;
    // What is too deep is moved to the top, and found there by the next round.
    while empty(&top, &top, 0, &mut moved).map_err(failed)? {}
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(failed)?;
    Ok(true)
}

/// "Invalid cross-device link" tells nobody what is wrong.
fn refusal(errno: Errno) -> io::Error {
    match errno {
        Errno::XDEV | Errno::BUSY => {
            io::Error::new(io::ErrorKind::ResourceBusy, "something is mounted there or beneath")
        }
        errno => errno.into(),
    }
}

/// Removes what is in `directory`; says whether there was anything.
fn empty(top: &OwnedFd, directory: &OwnedFd, depth: usize, moved: &mut u64) -> Result<bool, Errno> {
    let listed = rustix::fs::openat(directory, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let names = names(listed)?;
    for name in &names {
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => remove_directory(top, directory, name, depth, moved)?,
            Err(error) => return Err(error),
        }
    }
    Ok(!names.is_empty())
}

fn remove_directory(
    top: &OwnedFd,
    parent: &OwnedFd,
    name: &OsString,
    depth: usize,
    moved: &mut u64,
) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(Errno::NOTDIR) => return Err(Errno::PERM),
        Err(error) => return Err(error),
    }
    if depth >= DEPTH_LIMIT {
        return move_to_top(top, parent, name, moved);
    }
    let directory = open_directory(parent.as_fd(), name)?;
    while empty(top, &directory, depth + 1, moved)? {}
    drop(directory);
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn move_to_top(top: &OwnedFd, parent: &OwnedFd, name: &OsString, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let new_name = format!(".removed-{moved}");
        match rustix::fs::renameat_with(parent, name, top, &new_name, rustix::fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
}

/// Opens a directory in `parent`, unless it is a link or something is mounted on it.
fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}
