//! Whether overlayfs works in a directory, found out by using it.

use std::io;
use std::path::Path;

use fs_err as fs;

use super::{Overlay, OverlayError, Upper, mount_detached};
use crate::{FileError, Permissions, Root};

/// What is removed and made anew in the mount.
const NAME: &str = "directory";

/// Makes `directory`, mounts an overlay whose directories are in it, and tries in the mount what takes most of its file
/// system: a directory with a file is removed and made anew, and must not show the file again.
///
/// Nothing is attached anywhere, so nobody sees the mount, and it is gone when this returns. `directory` stays for the
/// caller to remove.
///
/// # Errors
/// Why overlayfs cannot be used there: the kernel has none, or it does not take this file system for what is written.
pub fn try_in(directory: impl AsRef<Path>) -> Result<(), OverlayError> {
    let directory = directory.as_ref();
    fs::create_dir(directory).map_err(|error| FileError::new("create", directory, error))?;
    let tree = Root::open(directory)?;
    let permissions = Permissions::root(0o755);
    for path in ["lower/directory", "upper", "work"] {
        tree.create_directories(path, permissions)?;
    }
    tree.create_file("lower/directory/file", Permissions::root(0o644))?;
    // By descriptors, and with one lower directory: that means the same to every kernel.
    let [lower, upper, work] = [tree.resolve("lower")?, tree.resolve("upper")?, tree.resolve("work")?];
    let upper = Upper { directory: upper.proc_path(), work: work.proc_path(), durable: true };
    let overlay = Overlay { lower: vec![lower.proc_path()], upper: Some(upper) };
    let mount = mount_detached(&overlay, directory, "lowerdir")?;
    let mounted = Root::of(mount, directory);
    mounted.remove(NAME)?;
    mounted.entry(NAME)?.create_directory(permissions)?;
    if mounted.read_directory(NAME)?.is_empty() {
        return Ok(());
    }
    let what = io::Error::other("a directory that was removed and made anew shows what it had");
    Err(FileError::new("use", &directory.join(NAME), what).into())
}
