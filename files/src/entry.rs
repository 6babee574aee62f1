//! One name in a directory held by a descriptor.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::remove::remove_name;
use crate::{FileError, FileKind, Handle, Metadata, Permissions};

/// What [`Entry::make_node`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device with its major and minor number; 0, 0 is overlayfs' whiteout.
    CharacterDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A Unix socket that nobody listens on.
    Socket,
}

/// One name in a directory that was resolved inside a [`crate::Root`]; the name need not exist.
///
/// Everything here works on the name itself: a symbolic link there is never followed.
#[derive(Debug)]
pub struct Entry {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
}

impl Entry {
    pub(crate) fn new(directory: OwnedFd, name: OsString, path: PathBuf) -> Self {
        Self { directory, name, path }
    }

    /// Where it is, for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there; `None` when nothing is.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn metadata(&self) -> Result<Option<Metadata>, FileError> {
        match statx(&self.directory, Path::new(&self.name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Errno::NOENT) => Ok(None),
            Err(source) => Err(self.error("inspect", source)),
        }
    }

    /// Holds what is there.
    ///
    /// # Errors
    /// When nothing is there, or the kernel refuses.
    pub fn handle(&self) -> Result<Handle, FileError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())
            .map_err(|source| self.error("open", source))?;
        Ok(Handle::new(file, self.path.clone()))
    }

    /// Creates a regular file, to be written.
    ///
    /// # Errors
    /// When something is there already, or the kernel refuses.
    pub fn create_file(&self, permissions: Permissions) -> Result<fs_err::File, FileError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &self.name, flags, Mode::from_raw_mode(0o600))
            .map_err(|source| self.error("create", source))?;
        set_permissions(&file, permissions).map_err(|source| self.error("set owner and mode of", source))?;
        Ok(fs_err::File::from_parts(file.into(), &self.path))
    }

    /// Creates an empty directory.
    ///
    /// # Errors
    /// When something is there already, or the kernel refuses.
    pub fn create_directory(&self, permissions: Permissions) -> Result<Handle, FileError> {
        rustix::fs::mkdirat(&self.directory, &self.name, Mode::from_raw_mode(0o700))
            .map_err(|source| self.error("create", source))?;
        let handle = self.handle()?;
        if handle.metadata()?.kind != FileKind::Directory {
            return Err(self.error("create", Errno::NOTDIR));
        }
        handle.set_permissions(permissions)?;
        Ok(handle)
    }

    /// Creates a symbolic link, whose target may be anything.
    ///
    /// # Errors
    /// When something is there already, or the kernel refuses.
    pub fn symlink(&self, target: &Path) -> Result<(), FileError> {
        rustix::fs::symlinkat(target, &self.directory, &self.name)
            .map_err(|source| self.error("link", source))
    }

    /// Makes this another name of a file; of a symbolic link, not of its target.
    ///
    /// # Errors
    /// When something is there already, or `existing` is missing or a directory.
    pub fn hard_link(&self, existing: &Entry) -> Result<(), FileError> {
        let empty = AtFlags::empty();
        rustix::fs::linkat(&existing.directory, &existing.name, &self.directory, &self.name, empty)
            .map_err(|source| self.error("link", source))
    }

    /// Moves what is there to another name on the same file system, where nothing is or something that it replaces.
    ///
    /// # Errors
    /// When nothing is there, or the kernel refuses.
    pub fn rename_to(&self, new: &Entry) -> Result<(), FileError> {
        rustix::fs::renameat(&self.directory, &self.name, &new.directory, &new.name)
            .map_err(|source| self.error("rename", source))
    }

    /// Makes a device, pipe or socket.
    ///
    /// # Errors
    /// When something is there already, or the kernel refuses.
    pub fn make_node(&self, kind: NodeKind, permissions: Permissions) -> Result<Handle, FileError> {
        let (kind, major, minor) = match kind {
            NodeKind::CharacterDevice(major, minor) => (FileType::CharacterDevice, major, minor),
            NodeKind::BlockDevice(major, minor) => (FileType::BlockDevice, major, minor),
            NodeKind::Fifo => (FileType::Fifo, 0, 0),
            NodeKind::Socket => (FileType::Socket, 0, 0),
        };
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&self.directory, &self.name, kind, Mode::from_raw_mode(0o600), device)
            .map_err(|source| self.error("make node", source))?;
        let handle = self.handle()?;
        let metadata = handle.metadata()?;
        // Whoever can write here may have put another name of some other file in its place.
        if metadata.links != 1 || !is_node(&metadata) {
            return Err(self.error("make node", Errno::EXIST));
        }
        handle.set_permissions(permissions)?;
        Ok(handle)
    }

    /// Removes what is there, with everything beneath; says whether anything was.
    ///
    /// # Errors
    /// When something is mounted there or beneath, or the kernel refuses.
    pub fn remove(&self) -> Result<bool, FileError> {
        remove_name(self.directory.as_fd(), &self.name, &self.path)
    }

    /// Its last component.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    fn error(&self, action: &'static str, source: Errno) -> FileError {
        FileError::new(action, &self.path, source)
    }
}

fn is_node(metadata: &Metadata) -> bool {
    !matches!(metadata.kind, FileKind::Regular | FileKind::Directory | FileKind::Symlink)
}

/// Owner first: a change of owner clears setuid and setgid.
fn set_permissions(file: impl AsFd, permissions: Permissions) -> Result<(), Errno> {
    let owner = rustix::fs::Uid::from_raw(permissions.uid);
    let group = rustix::fs::Gid::from_raw(permissions.gid);
    rustix::fs::fchown(&file, Some(owner), Some(group))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(permissions.mode & 0o7777))
}

pub(crate) fn statx(directory: impl AsFd, path: &Path, flags: AtFlags) -> Result<Metadata, Errno> {
    let flags = flags | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(directory, path, flags, StatxFlags::BASIC_STATS).map(|stat| Metadata::from_statx(&stat))
}
