//! How the directory of a layer says what it hides of the layers beneath.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use homeostat_files::{Entry, FileError, FileKind, Handle, Metadata, NodeKind, Permissions, Root};

use crate::StoreError;
use crate::tar::{OPAQUE, OVERLAY_OPAQUE};

/// The file of a store whose layers have links as marks.
const LINKS: &str = "whiteouts-are-links";

/// Where a symbolic link points that is a mark.
const TARGET: &str = "/(homeostat: whiteout)";

/// How the layers of a store say what they hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// As overlayfs takes it: a removed file is a character device 0, 0, and a directory that hides the one beneath has an
    /// extended attribute.
    Overlayfs,
    /// With symbolic links in their place: one of the file's name, and one in the directory. For file systems that take
    /// neither that device nor that attribute, as overlayfs itself; what lies there overlayfs can never mount.
    Links,
}

impl Marks {
    /// Those of the store in `directory`, if it is known to have others than overlayfs'.
    pub(crate) fn known(store: &Path) -> Option<Self> {
        store.join(LINKS).exists().then_some(Self::Links)
    }

    /// Finds out in an empty directory, for a store without layers, what its file system takes, and notes it there.
    pub(crate) fn find(store: &Path, empty: &Path) -> Result<Self, StoreError> {
        let tree = Root::open(empty)?;
        let directory = tree.create_directories("directory", Permissions::root(0o700))?;
        let tried = Self::Overlayfs
            .hide(&tree.entry("whiteout")?)
            .and_then(|()| Self::Overlayfs.set_opaque(&tree, Path::new("directory"), &directory));
        match tried {
            Ok(()) => Ok(Self::Overlayfs),
            Err(error) if is_refusal(&error) => {
                homeostat_files::write_durably(store.join(LINKS), b"")?;
                Ok(Self::Links)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a name, where nothing is, hide what the layers beneath have there.
    pub(crate) fn hide(self, entry: &Entry) -> Result<(), FileError> {
        match self {
            Self::Overlayfs => {
                entry.make_node(NodeKind::CharacterDevice(0, 0), Permissions::root(0)).map(drop)
            }
            Self::Links => entry.symlink(TARGET.as_ref()),
        }
    }

    /// Makes a directory, at `path` of the tree, hide the one of the layers beneath.
    pub(crate) fn set_opaque(self, tree: &Root, path: &Path, directory: &Handle) -> Result<(), FileError> {
        match self {
            Self::Overlayfs => directory.set_xattr(OVERLAY_OPAQUE.as_ref(), b"y"),
            Self::Links => match tree.entry(path.join(OsStr::from_bytes(OPAQUE)))?.symlink(TARGET.as_ref()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                done => done,
            },
        }
    }

    /// Whether a file of a layer is no file, but hides one.
    pub(crate) fn is_whiteout(self, handle: &Handle, metadata: &Metadata) -> Result<bool, FileError> {
        Ok(match self {
            Self::Overlayfs => metadata.kind == FileKind::CharacterDevice && metadata.represents == (0, 0),
            Self::Links => {
                metadata.kind == FileKind::Symlink
                    && metadata.size == TARGET.len() as u64
                    && self.is_mark(&handle.read_link()?)
            }
        })
    }

    /// Whether a directory, at `path` of the tree, hides the one of the layers beneath.
    pub(crate) fn is_opaque(self, tree: &Root, path: &Path, directory: &Handle) -> Result<bool, FileError> {
        match self {
            Self::Overlayfs => Ok(directory.xattr(OVERLAY_OPAQUE.as_ref())?.as_deref() == Some(b"y")),
            Self::Links => Ok(tree.symlink_metadata(path.join(OsStr::from_bytes(OPAQUE)))?.is_some()),
        }
    }

    /// Whether a link that points there would be taken for a mark.
    pub(crate) fn is_mark(self, target: &Path) -> bool {
        self == Self::Links && target == Path::new(TARGET)
    }
}

fn is_refusal(error: &FileError) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    )
}
