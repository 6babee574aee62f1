//! Layers as tar archives: POSIX.1-2017 pax interchange format, with the GNU long names that Docker once wrote.

mod files;
mod header;
mod pax;
mod read;
mod write;

pub(crate) use files::FileWriter;
pub(crate) use header::is_header;
pub(crate) use read::{Item, Kind, Reader};
pub(crate) use write::{write_merged, write_tree};

/// Headers and content come in blocks of this size.
const BLOCK: usize = 512;

/// What OCI layers call a removed file: its name with this before it.
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// What OCI layers put into a directory that hides the one of the layers beneath.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Overlayfs' own attributes, which mean nothing outside of its mounts and must not come from anywhere else.
pub(crate) const OVERLAY_XATTRS: &str = "trusted.overlay.";

/// The attribute by which overlayfs marks a directory that hides the one of the layers beneath; its value is `y`.
pub(crate) const OVERLAY_OPAQUE: &str = "trusted.overlay.opaque";

/// How pax records name extended attributes, since star.
const PAX_XATTR: &[u8] = b"SCHILY.xattr.";

/// Deeper trees are refused, read or written: a descriptor is held for each level.
pub(crate) const DEPTH_LIMIT: usize = 256;

/// Linux' `PATH_MAX`: longer paths are refused, read or written.
pub(crate) const PATH_LIMIT: usize = 4096;

/// The attribute with what a program may do beyond its user's rights.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Extended attributes: full names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether an extended attribute belongs to the content of a layer. Those of the host's security modules do not.
pub(crate) fn is_content_xattr(name: &[u8]) -> bool {
    let starts_with = |prefix: &str| name.starts_with(prefix.as_bytes());
    name == CAPABILITY
        || starts_with("user.")
        || starts_with("system.posix_acl_")
        || (starts_with("trusted.") && !starts_with(OVERLAY_XATTRS))
}
