//! The files of a container.

use serde::{Deserialize, Serialize};

/// A file that is other than in the container's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// What became of it.
    pub kind: FileChangeKind,
    /// Its absolute path in the container; bytes that are not UTF-8 are replaced.
    pub path: String,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    /// The image has nothing at this path.
    Added,
    /// It has another content, owner, mode or time, or is of another kind; of a directory also: something in it is other.
    Changed,
    /// It is not there any more, with all that was in it.
    Deleted,
}
