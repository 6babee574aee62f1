//! Files that survive a power cut whole.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};

use crate::FileError;

/// Replaces the content of `path`, readable by its owner only (mode 0600).
///
/// # Guarantees
/// After a return of `Ok` a power cut leaves the new content; after a power cut in the middle, the old or the new.
/// A kill in the middle leaves at most one file beside it, `.NAME.tmp`, which the next write takes over.
/// Concurrent writers of one path take turns.
///
/// # Errors
/// When the file cannot be written, renamed or synchronized; the old content is then still there.
pub fn write_durably(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    write_durably_with_mode(path, bytes, 0o600)
}

/// [`write_durably`] with another mode, for files that others read.
///
/// # Errors
/// As [`write_durably`].
pub fn write_durably_with_mode(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let path = path.as_ref();
    let (temporary, file) = write_beside(path, bytes, mode)?;
    file.sync_all().map_err(|source| FileError::new("synchronize", path, source))?;
    rename_durably(&temporary, path)
}

/// [`write_durably`] without waiting for the disk: a kill leaves the old content or the new, a power cut anything.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let (temporary, _locked) = write_beside(path, bytes, 0o600)?;
    rename(&temporary, path)
}

/// Writes the temporary file, and holds its lock.
fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> Result<(PathBuf, fs::File), FileError> {
    let temporary = temporary_beside(path)?;
    let mut file = open_alone(&temporary)?;
    // The mode comes before the content: a secret is never readable by more than it should, not even for a moment.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        .map_err(|source| FileError::new("set mode of", path, source))?;
    file.set_len(0)
        .and_then(|()| file.write_all(bytes))
        .map_err(|source| FileError::new("write", path, source))?;
    Ok((temporary, file))
}

/// Renames `from` to `to`, and returns when a power cut no longer undoes it.
///
/// The content of `from` is not synchronized; that comes first.
///
/// # Errors
/// When the rename is refused or the directory of `to` cannot be synchronized.
pub fn rename_durably(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FileError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    rename(from, to)?;
    sync_directory(directory_of(to))
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    rustix::fs::renameat(CWD, from, CWD, to).map_err(|source| FileError::new("rename a file to", to, source))
}

/// Writes the names in a directory to disk: creations, renames and removals in it then survive a power cut.
///
/// # Errors
/// When it is no directory, or the disk fails.
pub fn sync_directory(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    let directory =
        rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| FileError::new("open", path, source))?;
    rustix::fs::fsync(&directory).map_err(|source| FileError::new("synchronize", path, source))
}

/// Writes everything that the file system of `path` holds back to disk (`syncfs(2)`).
///
/// Cheaper than one fsync a file for more than a few files.
///
/// # Errors
/// When `path` cannot be opened, or the disk fails.
pub fn sync_file_system(path: impl AsRef<Path>) -> Result<(), FileError> {
    FileSystem::of(path)?.sync()
}

/// A file system that is synchronized time and again.
#[derive(Debug)]
pub struct FileSystem {
    file: OwnedFd,
    path: PathBuf,
}

impl FileSystem {
    /// The one that `path` is on.
    ///
    /// # Errors
    /// When `path` cannot be opened.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| FileError::new("open", path, source))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes everything that it holds back to disk.
    ///
    /// # Errors
    /// When the disk fails, or has failed since the last call for this value (Linux 5.8): whoever else was told of a
    /// failure first, it is told here too.
    pub fn sync(&self) -> Result<(), FileError> {
        rustix::fs::syncfs(&self.file)
            .map_err(|source| FileError::new("synchronize the file system of", &self.path, source))
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_beside(path: &Path) -> Result<PathBuf, FileError> {
    let Some(name) = path.file_name() else {
        return Err(FileError::new("write", path, std::io::Error::from(std::io::ErrorKind::InvalidFilename)));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tmp");
    Ok(directory_of(path).join(temporary))
}

/// Opens the temporary file and holds its lock, so that no other writer has it; waits for the one who has.
fn open_alone(temporary: &Path) -> Result<fs::File, FileError> {
    let failed = |source: rustix::io::Errno| FileError::new("create", temporary, source);
    loop {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(temporary, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(failed)?;
        // The writer before us renamed the file away while we waited for its lock: then it is no longer ours to write.
        let ours = rustix::fs::fstat(&file).map_err(failed)?;
        match rustix::fs::statat(CWD, temporary, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                return Ok(fs::File::from_parts(file.into(), temporary));
            }
            Ok(_) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn replaces_content_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        write_durably(&path, b"a longer first content").unwrap();
        write_durably(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn takes_over_what_a_killed_writer_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        fs::write(directory.path().join(".state.tmp"), b"half of something much longer than the new content")
            .unwrap();
        write_durably_with_mode(&path, b"whole", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn concurrent_writers_never_mix_their_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        std::thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..10 {
                        write_durably(path, &vec![letter; 1000 + usize::from(letter)]).unwrap();
                        let content = fs::read(path).unwrap();
                        assert_eq!(content.len(), 1000 + usize::from(content[0]));
                        assert!(content.iter().all(|byte| *byte == content[0]));
                    }
                });
            }
        });
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, b"untouched").unwrap();
        fs::os::unix::fs::symlink(&victim, directory.path().join(".state.tmp")).unwrap();
        assert!(write_durably(directory.path().join("state"), b"evil").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    }
}
