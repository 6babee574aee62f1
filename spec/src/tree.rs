//! What the compiler asks of the source beyond the spec files themselves.

/// Whether a path of the source is a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// A path that exists in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// File or directory.
    pub kind: EntryKind,
    /// Hex digest of the content; see [`SourcePath::digest`](crate::SourcePath::digest).
    pub digest: String,
}

/// The files of a source at one revision, seen only through digests.
///
/// A build context or a mounted file is referred to by path in a spec; the compiler turns
/// the path into its digest here, so that a change of content is a change of the desired state.
pub trait Tree {
    /// The entry at `path` (relative, no `.` or `..` components, empty for the root).
    /// `Ok(None)` when nothing is there.
    ///
    /// # Errors
    /// A message for the diagnostic when the path cannot be read or leaves the source through a symbolic link.
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String>;
}
