//! One process at a time.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::FileError;

/// The lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, has it.
    #[error("{} is held by {}", path.display(), holder(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, if it has said so already.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock")]
    File(#[from] FileError),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A lock that is held until this is dropped, or the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// Takes the lock on a lock file (`flock(2)`), creating the file if needed. Does not wait.
///
/// The file stays when the lock is released, so that no two processes can hold locks on two files of one name.
///
/// # Errors
/// [`LockError::Held`] when somebody has it.
pub fn exclusive(path: impl AsRef<Path>) -> Result<Lock, LockError> {
    let path = path.as_ref();
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))
        .map_err(|source| FileError::new("open", path, source))?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    let mut file = fs::File::from_parts(file.into(), path);
    match locked {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(LockError::Held { path: path.to_owned(), pid: read_pid(&mut file) });
        }
        Err(source) => return Err(FileError::new("lock", path, source).into()),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(|source| FileError::new("write", path, source))?;
    Ok(Lock { _file: file })
}

fn read_pid(file: &mut fs::File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = exclusive(&path).unwrap();
        match exclusive(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        exclusive(&path).unwrap();
    }
}
