//! The error of file work.

use std::io;
use std::path::{Path, PathBuf};

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried, as a verb: "open", "write".
    pub action: &'static str,
    /// The file; inside a [`crate::Root`] its path joined to the root's.
    pub path: PathBuf,
    /// What the kernel answered.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { action, path: path.to_owned(), source: source.into() }
    }

    /// What the kernel answered, in short.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether it failed because the file is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}
