//! How much of a source is read before it is taken for a mistake or an attack.

/// Bytes of a spec file that are read: one more than the spec compiler accepts (1 MiB), so that it sees the excess.
pub(crate) const SPEC_BYTES: usize = (1 << 20) + 1;

/// Spec files of one source.
pub(crate) const SPEC_FILES: usize = 10_000;

/// Bytes of all spec files of one source together.
pub(crate) const ALL_SPEC_BYTES: usize = 64 << 20;

/// Files, directories and links in one build context or mounted directory.
pub(crate) const ENTRIES: usize = 500_000;

/// Directories within directories.
pub(crate) const DEPTH: usize = 128;

/// Bytes in one build context or mounted directory.
pub(crate) const BYTES: u64 = 8 << 30;

/// Bytes of one file in git, which is held in memory as a whole while it is written out.
pub(crate) const GIT_FILE_BYTES: usize = 512 << 20;

/// Bytes received by one fetch.
pub(crate) const FETCH_BYTES: usize = 4 << 30;

/// Symbolic links followed for one path, as the Linux kernel does (`path_resolution(7)`).
pub(crate) const LINKS: usize = 40;
