//! A directory tree that somebody else may have filled.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Entry, FileError, FileKind, Handle, Metadata, Permissions};

/// As many symbolic links as Linux follows in one path.
const LINKS_LIMIT: usize = 40;

/// How often a resolution is tried again that a rename elsewhere disturbed.
const ATTEMPTS: usize = 1000;

/// A directory tree that somebody else may have filled, and may be changing right now.
///
/// Paths are those that a process would see whose root directory this is: absolute and relative paths, `..` and
/// symbolic links resolve inside the tree, and an absolute link starts again at its top.
///
/// # Guarantees
/// Nothing outside of the tree is opened or changed, whatever the tree and the paths hold, also when both change
/// meanwhile: the kernel resolves every path (`openat2(2)` with `RESOLVE_IN_ROOT` and `RESOLVE_NO_MAGICLINKS`), and
/// operations work on descriptors.
///
/// # Assumptions
/// Linux 5.8 or newer. What is mounted in the tree counts as part of it, except for removal.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the top directory, by a path that is trusted.
    ///
    /// # Errors
    /// When it is no directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|source| FileError::new("open", path, source))?;
        Ok(Self { directory, path: path.to_owned() })
    }

    /// The tree of a directory that is held already; `path` is for messages.
    pub(crate) fn of(directory: OwnedFd, path: &Path) -> Self {
        Self { directory, path: path.to_owned() }
    }

    /// Where the tree is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Holds the file that `path` leads to, following links inside the tree.
    ///
    /// # Errors
    /// When there is none.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Handle, FileError> {
        let path = path.as_ref();
        let file = self.openat2(path, OFlags::PATH).map_err(|source| self.error("open", path, source))?;
        Ok(Handle::new(file, self.shown(path)))
    }

    /// The tree beneath a directory of this one, as a tree of its own.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn subtree(&self, path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let directory = self
            .openat2(path, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|source| self.error("open", path, source))?;
        Ok(Self { directory, path: self.shown(path) })
    }

    /// The last name of `path` in the directory that leads to it, which must exist. The name itself need not exist,
    /// and is not followed if it is a link.
    ///
    /// # Errors
    /// When the directory does not exist, or `path` ends in no name, as `/` and `..` do.
    pub fn entry(&self, path: impl AsRef<Path>) -> Result<Entry, FileError> {
        let path = path.as_ref();
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(self.error("use", path, Errno::INVAL));
        };
        let directory = self
            .openat2(parent, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|source| self.error("open the directory of", path, source))?;
        Ok(Entry::new(directory, name.to_owned(), self.shown(path)))
    }

    /// What `path` leads to, following links inside the tree; `None` when nothing is there.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>, FileError> {
        absent(self.resolve(path).and_then(|handle| handle.metadata()))
    }

    /// What is at `path`, not following a link there; `None` when nothing is, or its directory is not there.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>, FileError> {
        let path = path.as_ref();
        if path.file_name().is_none() {
            return self.metadata(path);
        }
        absent(self.entry(path)).and_then(|entry| entry.map_or(Ok(None), |entry| entry.metadata()))
    }

    /// Opens a regular file to read, following links inside the tree.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_to_read(&self, path: impl AsRef<Path>) -> Result<fs_err::File, FileError> {
        self.resolve(path)?.open_to_read()
    }

    /// The names in a directory, sorted, following links to it inside the tree.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn read_directory(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>, FileError> {
        let path = path.as_ref();
        self.openat2(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(names)
            .map_err(|source| self.error("list", path, source))
    }

    /// Creates a regular file, to be written.
    ///
    /// # Errors
    /// When something is there already, or its directory is not.
    pub fn create_file(
        &self,
        path: impl AsRef<Path>,
        permissions: Permissions,
    ) -> Result<fs_err::File, FileError> {
        self.entry(path)?.create_file(permissions)
    }

    /// Creates a directory and those that lead to it, as far as they are missing, with these permissions.
    ///
    /// Links on the way are followed inside the tree, also those to directories that do not exist yet.
    ///
    /// # Errors
    /// When something else than a directory is in the way.
    pub fn create_directories(
        &self,
        path: impl AsRef<Path>,
        permissions: Permissions,
    ) -> Result<Handle, FileError> {
        let path = path.as_ref();
        self.create_along(path, permissions, &mut 0)?;
        let handle = self.resolve(path)?;
        if handle.metadata()?.kind != FileKind::Directory {
            return Err(self.error("create", path, Errno::NOTDIR));
        }
        Ok(handle)
    }

    /// Removes what is at `path` with everything beneath, not following links; says whether anything was there.
    ///
    /// # Errors
    /// When something is mounted there or beneath.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool, FileError> {
        match absent(self.entry(path))? {
            Some(entry) => entry.remove(),
            None => Ok(false),
        }
    }

    fn create_along(
        &self,
        path: &Path,
        permissions: Permissions,
        links: &mut usize,
    ) -> Result<(), FileError> {
        let mut reached = PathBuf::new();
        for component in path.components() {
            reached.push(component);
            if !matches!(component, Component::Normal(_)) {
                continue;
            }
            match self.openat2(&reached, OFlags::PATH | OFlags::DIRECTORY) {
                Ok(_) => {}
                Err(Errno::NOENT) => self.create_missing(&reached, permissions, links)?,
                Err(source) => return Err(self.error("create", &reached, source)),
            }
        }
        Ok(())
    }

    /// Creates the last component of `path`; if that is a link to nowhere, the directory that it points to.
    fn create_missing(
        &self,
        path: &Path,
        permissions: Permissions,
        links: &mut usize,
    ) -> Result<(), FileError> {
        let entry = self.entry(path)?;
        let Err(error) = entry.create_directory(permissions) else {
            return Ok(());
        };
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(error);
        }
        let handle = entry.handle()?;
        if handle.metadata()?.kind != FileKind::Symlink {
            // Somebody else created it just now.
            return Ok(());
        }
        *links += 1;
        if *links > LINKS_LIMIT {
            return Err(self.error("create", path, Errno::LOOP));
        }
        let target = path.parent().unwrap_or(Path::new("")).join(handle.read_link()?);
        self.create_along(&target, permissions, links)
    }

    fn openat2(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..ATTEMPTS {
            match rustix::fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
            {
                // The kernel cannot tell whether a `..` raced with a rename out of the tree, and asks to try again.
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
        Err(Errno::AGAIN)
    }

    fn shown(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn error(&self, action: &'static str, path: &Path, source: Errno) -> FileError {
        FileError::new(action, &self.shown(path), source)
    }
}

fn absent<T>(result: Result<T, FileError>) -> Result<Option<T>, FileError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The names in an open directory, sorted, without `.` and `..`.
pub(crate) fn names(directory: OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}
