//! Writing a file or directory so that it is there whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use homeostat_reconciler::{ErrorKind, PortError};
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::content::ContentError;

/// A place beside the destination that becomes the destination in one step.
///
/// Its name depends only on the destination: what a kill leaves behind is removed by the next try.
pub(crate) struct Staging {
    parent: OwnedFd,
    path: PathBuf,
    name: OsString,
    destination: OsString,
}

impl Staging {
    /// Removes what an earlier try left and makes ready for writing to [`name`](Self::name) in [`parent`](Self::parent).
    pub(crate) fn new(destination: &Path) -> Result<Self, PortError> {
        let (Some(parent), Some(file)) = (destination.parent(), destination.file_name()) else {
            return Err(PortError::new(ErrorKind::Internal, "an export needs a destination with a name"));
        };
        let mut name = OsString::from(".");
        name.push(file);
        name.push(".partial");
        let path = parent.join(&name);
        remove(&path).map_err(|error| {
            PortError::new(ErrorKind::Transient, "cannot remove what an interrupted copy left")
                .caused_by(error)
        })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent =
            rustix::fs::open(parent, flags, Mode::empty()).map_err(ContentError::io("open", parent))?;
        Ok(Self { parent, path, name, destination: file.to_owned() })
    }

    /// The directory that the destination is in.
    pub(crate) fn parent(&self) -> &OwnedFd {
        &self.parent
    }

    /// What to write to in that directory.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Makes what was written durable and gives it its name. Fails if the destination exists.
    pub(crate) fn commit(self) -> Result<(), PortError> {
        rustix::fs::syncfs(&self.parent).map_err(ContentError::io("write back", &self.path))?;
        let (parent, destination) = (&self.parent, &self.destination);
        rustix::fs::renameat_with(parent, &self.name, parent, destination, RenameFlags::NOREPLACE)
            .map_err(ContentError::io("rename", &self.path))?;
        rustix::fs::fsync(parent).map_err(ContentError::io("write back", &self.path))?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit nothing is there; after a failure what cannot be removed is left to the next try.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a directory that is not there yet, for root alone until [`set_mode`].
pub(crate) fn create_directory(
    parent: &OwnedFd,
    name: &OsStr,
    shown: &Path,
) -> Result<OwnedFd, ContentError> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(already_there("create", shown))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(ContentError::io("open", shown))
}

/// Creates a file that is not there yet, for root alone until [`set_mode`].
pub(crate) fn create_file(parent: &OwnedFd, name: &OsStr, shown: &Path) -> Result<File, ContentError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
    file.map(File::from).map_err(already_there("create", shown))
}

/// Creates a symbolic link that is not there yet.
pub(crate) fn create_link(
    parent: &OwnedFd,
    name: &OsStr,
    target: &OsStr,
    shown: &Path,
) -> Result<(), ContentError> {
    rustix::fs::symlinkat(target, parent, name).map_err(already_there("create", shown))
}

/// Gives a file or directory its permissions. Set-uid, set-gid and sticky bits are not among them: the
/// copy belongs to root, and nobody asked for a set-uid root program on the host.
pub(crate) fn set_mode(file: impl rustix::fd::AsFd, mode: u32, shown: &Path) -> Result<(), ContentError> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o777))
        .map_err(ContentError::io("set the mode of", shown))
}

fn already_there(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> ContentError {
    move |errno| match errno {
        Errno::EXIST => ContentError::Duplicate(crate::content::show(path)),
        errno => ContentError::io(action, path)(errno),
    }
}
