//! New volumes begin with what the image has where they are mounted, as with Docker.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{Metadata, Root, copy_file, overlay, overlay::Overlay};

use crate::EmbeddedError;
use crate::mount_namespace;

/// One directory of an image to copy.
#[derive(Debug)]
pub(crate) struct Copy {
    /// Absolute path in the image.
    pub(crate) source: String,
    /// An empty directory that takes its content, owner and mode.
    pub(crate) destination: PathBuf,
}

/// Copies directories of an image. What is not in the image, or no directory there, leaves its destination empty.
///
/// `layers` are the image's directories, the top one first; `view` is an empty directory.
///
/// The image is mounted in a mount namespace that only the copying thread has.
pub(crate) fn copy_up(layers: &[PathBuf], view: &Path, copies: &[Copy]) -> Result<(), EmbeddedError> {
    mount_namespace::run(|| {
        let overlay = Overlay { lower: layers.to_vec(), upper: None };
        overlay::mount(&overlay, view)?;
        copy_directories(&Root::open(view)?, copies)
    })
}

/// [`copy_up`] from an image whose tree is there already.
pub(crate) fn copy_directories(image: &Root, copies: &[Copy]) -> Result<(), EmbeddedError> {
    copies.iter().try_for_each(|copy| copy_directory(image, copy))
}

fn copy_directory(image: &Root, copy: &Copy) -> Result<(), EmbeddedError> {
    if !image.metadata(&copy.source)?.is_some_and(|found| found.is_directory()) {
        return Ok(());
    }
    let from = image.subtree(&copy.source)?;
    let to = Root::open(&copy.destination)?;
    let mut names = HashMap::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for name in from.read_directory(&directory)? {
            let path = directory.join(name);
            let Some(found) = from.symlink_metadata(&path)? else { continue };
            copy_entry(&from, &to, &path, &found, &mut names)?;
            if found.is_directory() {
                directories.push(path);
            }
        }
    }
    let top = from.resolve("")?.metadata()?;
    to.resolve("")?.set_permissions(top.permissions)?;
    Ok(())
}

/// `names` has a path of every file copied so far that has more than one name, by inode.
fn copy_entry(
    from: &Root,
    to: &Root,
    path: &Path,
    found: &Metadata,
    names: &mut HashMap<u64, PathBuf>,
) -> Result<(), EmbeddedError> {
    let source = from.entry(path)?.handle()?;
    let target = to.entry(path)?;
    let several = found.links > 1 && !found.is_directory();
    if several && let Some(first) = names.get(&found.inode) {
        return Ok(target.hard_link(&to.entry(first)?)?);
    }
    // Of what overlayfs notes for itself a mount shows nothing.
    copy_file(&source, &target, |_| true)?;
    if several {
        names.insert(found.inode, path.to_owned());
    }
    Ok(())
}

/// Whether a directory has nothing in it.
pub(crate) fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_directory_is_copied_from_all_layers_with_owner_mode_links_and_time() {
        let top = tempfile::tempdir().unwrap();
        let [low, high, view, target] = ["low", "high", "view", "target"].map(|name| top.path().join(name));
        for directory in [low.join("srv/data/sub"), high.join("srv/data"), view.clone(), target.clone()] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(low.join("srv/data/sub/file"), "low").unwrap();
        fs::write(high.join("srv/data/own"), "high").unwrap();
        fs::hard_link(high.join("srv/data/own"), high.join("srv/data/same")).unwrap();
        std::os::unix::fs::chown(high.join("srv/data/own"), Some(7), Some(8)).unwrap();
        fs::set_permissions(high.join("srv/data/own"), std::fs::Permissions::from_mode(0o4711)).unwrap();
        fs::os::unix::fs::symlink("/etc/passwd", high.join("srv/data/link")).unwrap();
        fs::set_permissions(high.join("srv/data"), std::fs::Permissions::from_mode(0o1777)).unwrap();

        let copy = Copy { source: "/srv/data".to_owned(), destination: target.clone() };
        copy_up(&[high, low], &view, &[copy]).unwrap();

        assert_eq!(fs::read_to_string(target.join("sub/file")).unwrap(), "low");
        let own = fs::metadata(target.join("own")).unwrap();
        assert_eq!((own.uid(), own.gid(), own.mode() & 0o7777), (7, 8, 0o4711));
        assert_eq!(own.ino(), fs::metadata(target.join("same")).unwrap().ino());
        assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o1777);
        assert!(is_empty(&view).unwrap(), "nothing stays mounted here");
    }

    #[test]
    fn what_the_image_does_not_have_leaves_the_volume_empty() {
        let top = tempfile::tempdir().unwrap();
        let [layer, view, target] = ["layer", "view", "target"].map(|name| top.path().join(name));
        for directory in [&layer, &view, &target] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(layer.join("file"), "").unwrap();
        for source in ["/absent", "/file"] {
            let copy = Copy { source: source.to_owned(), destination: target.clone() };
            copy_up(std::slice::from_ref(&layer), &view, &[copy]).unwrap();
        }
        assert!(is_empty(&target).unwrap());
    }
}
