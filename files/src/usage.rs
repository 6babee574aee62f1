//! How much room something takes, and when it was last used.

use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;

use crate::{FileError, Root};

/// The disk space in use by a directory and everything in it, in bytes. Of a file with several names, each counts its part.
///
/// # Errors
/// When something of it cannot be read.
pub fn disk_usage(directory: impl AsRef<Path>) -> Result<u64, FileError> {
    fn add(tree: &Root) -> Result<u64, FileError> {
        let mut bytes = 0;
        for name in tree.read_directory("")? {
            let Some(metadata) = tree.symlink_metadata(&name)? else { continue };
            if metadata.is_directory() {
                bytes += metadata.allocated + add(&tree.subtree(&name)?)?;
            } else {
                bytes += metadata.allocated / u64::from(metadata.links.max(1));
            }
        }
        Ok(bytes)
    }
    add(&Root::open(directory)?)
}

/// Notes that what a file describes is used now: the time of its last use is that of the file's last change. A power cut
/// may take the note away again.
///
/// # Errors
/// When the file is not there, or the kernel refuses.
pub fn mark_used(file: impl AsRef<Path>) -> std::io::Result<()> {
    fs::File::open(file.as_ref())?.set_modified(SystemTime::now())
}
