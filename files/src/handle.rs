//! One file, held by a descriptor, whatever happens to its name.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

use crate::entry::statx;
use crate::{FileError, FileKind, Metadata, Permissions, Timestamp};

/// One file of any kind, held by an `O_PATH` descriptor: changes go to this file, also when its name now means another.
///
/// # Assumptions
/// /proc is mounted: extended attributes, modes and mounts reach the file through `/proc/self/fd`.
#[derive(Debug)]
pub struct Handle {
    file: OwnedFd,
    path: PathBuf,
}

impl Handle {
    pub(crate) fn new(file: OwnedFd, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// Where it was found, for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that means this very file in this process while the handle lives: what mounts take as source or target.
    pub fn proc_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// What is known about it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn metadata(&self) -> Result<Metadata, FileError> {
        statx(&self.file, Path::new(""), AtFlags::EMPTY_PATH)
            .map_err(|source| FileError::new("inspect", &self.path, source))
    }

    /// Opens it to read. Only a regular file is opened: opening a device or a pipe has effects.
    ///
    /// # Errors
    /// When it is no regular file, or the kernel refuses.
    pub fn open_to_read(&self) -> Result<fs_err::File, FileError> {
        if self.metadata()?.kind != FileKind::Regular {
            return Err(FileError::new("read", &self.path, std::io::Error::other("it is no regular file")));
        }
        let file = rustix::fs::open(self.proc_path(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| FileError::new("open", &self.path, source))?;
        Ok(fs_err::File::from_parts(file.into(), &self.path))
    }

    /// Where it points, if it is a symbolic link.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_link(&self) -> Result<PathBuf, FileError> {
        rustix::fs::readlinkat(&self.file, "", Vec::new())
            .map(|target| OsString::from_vec(target.into_bytes()).into())
            .map_err(|source| FileError::new("read the link", &self.path, source))
    }

    /// Gives it to another owner and group. The kernel clears setuid and setgid: set the mode after.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), FileError> {
        let owner = Some(rustix::fs::Uid::from_raw(uid));
        let group = Some(rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(&self.file, "", owner, group, AtFlags::EMPTY_PATH)
            .map_err(|source| FileError::new("set owner of", &self.path, source))
    }

    /// Sets the permission bits. Symbolic links have none: they are left alone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_mode(&self, mode: u32) -> Result<(), FileError> {
        if self.metadata()?.kind == FileKind::Symlink {
            return Ok(());
        }
        rustix::fs::chmodat(CWD, self.proc_path(), Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())
            .map_err(|source| FileError::new("set mode of", &self.path, source))
    }

    /// Owner, group and mode, in the order that keeps setuid.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_permissions(&self, permissions: Permissions) -> Result<(), FileError> {
        self.set_owner(permissions.uid, permissions.gid)?;
        self.set_mode(permissions.mode)
    }

    /// Sets the time of the last change; the time of the last access stays.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_modified(&self, modified: Timestamp) -> Result<(), FileError> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanoseconds.into() },
        };
        rustix::fs::utimensat(&self.file, "", &times, AtFlags::EMPTY_PATH)
            .map_err(|source| FileError::new("set modification time of", &self.path, source))
    }

    /// Sets an extended attribute by its full name, such as `security.capability`.
    ///
    /// # Errors
    /// When the kernel or the file system refuses.
    pub fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<(), FileError> {
        rustix::fs::setxattr(self.proc_path(), name, value, XattrFlags::empty())
            .map_err(|source| FileError::new("set an extended attribute of", &self.path, source))
    }

    /// The value of an extended attribute, if it has it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn xattr(&self, name: &OsStr) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.proc_path();
        let value = read_growing(|buffer| rustix::fs::getxattr(&path, name, buffer));
        match value {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(source) => Err(FileError::new("read an extended attribute of", &self.path, source)),
        }
    }

    /// The full names of its extended attributes, sorted.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn xattr_names(&self) -> Result<Vec<OsString>, FileError> {
        let path = self.proc_path();
        let names = match read_growing(|buffer| rustix::fs::listxattr(&path, buffer)) {
            Err(Errno::NOTSUP) => Vec::new(),
            other => other
                .map_err(|source| FileError::new("list the extended attributes of", &self.path, source))?,
        };
        let mut names: Vec<OsString> = names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| OsString::from_vec(name.to_vec()))
            .collect();
        names.sort();
        Ok(names)
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads something whose size is only known to the kernel, and may change between the calls.
fn read_growing(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    // Both attribute names and values are at most 64 KiB in Linux.
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 17 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}
