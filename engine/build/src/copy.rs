//! `COPY`: which files, what they are worth to the cache, and where they go.

mod digest;
mod place;
mod room;
mod select;

use std::ffi::OsString;
use std::path::PathBuf;

use homeostat_dockerfile::Ignore;
use homeostat_files::{Metadata, Root};

pub(crate) use digest::{add_to_key, digest_of};
pub(crate) use place::{Destination, place};
pub(crate) use room::ensure_room;
pub(crate) use select::{Selecting, select, select_exactly};

/// A tree that files are copied from.
pub(crate) struct Tree {
    pub(crate) root: Root,
    /// What is not there for a build.
    pub(crate) ignore: Ignore,
    /// What people call a file of it: `context file`, `file of STAGE`.
    pub(crate) title: String,
    /// Whether files keep their owner. Those of the context belong to whoever unpacked it, which means nothing.
    pub(crate) keep_owner: bool,
}

/// What one source of `COPY` selects: a file, or a directory with all in it.
pub(crate) struct Selection<'a> {
    pub(crate) tree: &'a Tree,
    /// The last name of the source: what it is called in a directory.
    pub(crate) name: OsString,
    /// Whether the source is a directory, of which the content is copied.
    pub(crate) is_directory: bool,
    /// Whether it is an archive that is unpacked.
    pub(crate) unpack: bool,
    /// The directories that it keeps at its destination.
    pub(crate) within: PathBuf,
    /// The source itself first, and each directory before what is in it.
    pub(crate) items: Vec<Item>,
}

/// One file of any kind.
pub(crate) struct Item {
    /// Its path beneath the source; empty for the source itself.
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    /// At this path of the tree.
    Tree { real: PathBuf, metadata: Metadata },
    /// A text of the Dockerfile.
    Inline(String),
}
