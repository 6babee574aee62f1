//! Places in a root file system where something will be mounted. The root may be hostile.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use homeostat_files::{Entry, FileKind, Handle, Permissions, Root};

use crate::failure::OrFail as _;
use crate::{Failure, FailureKind};

/// As many symbolic links as Linux follows in one path.
const LINKS_LIMIT: usize = 40;

/// What a target must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Directory,
    File,
}

/// Makes sure that a directory or file is at `target`, creating what is missing, and returns its path in the
/// root free of symbolic links.
///
/// Links are followed inside the root only; one that leads nowhere leads to where the target is then created.
/// What was created is added to `created`.
pub(crate) fn ensure(
    root: &Root,
    target: &str,
    kind: TargetKind,
    created: &mut Created,
) -> Result<PathBuf, Failure> {
    let attempted = || format!("make a place for a mount at {target}");
    let mut path = PathBuf::from("/");
    let mut ahead: Vec<OsString> = parts(Path::new(target));
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            path.pop();
            continue;
        }
        let next = path.join(&part);
        let entry = root.entry(&next).or_fail(FailureKind::InvalidRequest, &attempted())?;
        let found = entry.metadata().or_fail(FailureKind::InvalidRequest, &attempted())?;
        let wanted = if ahead.is_empty() { kind } else { TargetKind::Directory };
        match found.map(|metadata| metadata.kind) {
            None => created.make(entry, wanted).or_fail(FailureKind::Runtime, &attempted())?,
            Some(FileKind::Symlink) => {
                links += 1;
                if links > LINKS_LIMIT {
                    return Err(Failure::invalid(format!("too many symbolic links at {target}")));
                }
                let link = entry
                    .handle()
                    .and_then(|handle| handle.read_link())
                    .or_fail(FailureKind::Runtime, &attempted())?;
                if link.is_absolute() {
                    path = PathBuf::from("/");
                }
                ahead.extend(parts(&link));
                continue;
            }
            Some(FileKind::Directory) if wanted == TargetKind::Directory => {}
            Some(FileKind::Directory) => {
                return Err(Failure::invalid(format!(
                    "{target} is a directory in the image; a file cannot be mounted there"
                )));
            }
            Some(_) if wanted == TargetKind::Directory => {
                return Err(Failure::invalid(format!(
                    "{} is no directory in the image; {target} cannot be mounted",
                    next.display()
                )));
            }
            Some(_) => {}
        }
        path = next;
    }
    Ok(path)
}

/// Refuses a root where one of the kernel's own file systems would be mounted through a link, or over a file
/// (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
pub(crate) fn refuse_links(root: &Root) -> Result<(), Failure> {
    for path in ["/dev", "/proc", "/sys"] {
        let found =
            root.symlink_metadata(path).or_fail(FailureKind::InvalidRequest, "look into the image")?;
        if found.is_some_and(|metadata| metadata.kind != FileKind::Directory) {
            return Err(Failure::invalid(format!("{path} of the image is no directory"))
                .with_hint("an image whose /dev, /proc or /sys is a link or a file is not run"));
        }
    }
    Ok(())
}

/// The components of a path, the first one last; without those that lead nowhere else.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}

/// What was created in a root, so that it can be taken away again.
#[derive(Debug, Default)]
pub(crate) struct Created {
    entries: Vec<(Entry, Handle)>,
}

impl Created {
    fn make(&mut self, entry: Entry, kind: TargetKind) -> Result<(), homeostat_files::FileError> {
        let handle = match kind {
            TargetKind::Directory => entry.create_directory(Permissions::root(0o755))?,
            TargetKind::File => {
                drop(entry.create_file(Permissions::root(0o644))?);
                entry.handle()?
            }
        };
        self.entries.push((entry, handle));
        Ok(())
    }

    /// Takes away what was created and is still as it was then: the same file, and empty. The rest is the
    /// program's.
    pub(crate) fn remove(self) {
        for (entry, handle) in self.entries.into_iter().rev() {
            if is_untouched(&entry, &handle) {
                // What cannot be removed stays, as an empty file: no reason to fail what has succeeded.
                let _ = entry.remove();
            }
        }
    }
}

fn is_untouched(entry: &Entry, handle: &Handle) -> bool {
    let (Ok(Some(now)), Ok(then)) = (entry.metadata(), handle.metadata()) else { return false };
    if (now.device, now.inode) != (then.device, then.inode) {
        return false;
    }
    match now.kind {
        FileKind::Directory => Root::open(handle.proc_path())
            .and_then(|directory| directory.read_directory("/"))
            .is_ok_and(|names| names.is_empty()),
        FileKind::Regular => now.size == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use fs_err::os::unix::fs::symlink;

    use super::*;

    struct Tree {
        _outside: tempfile::TempDir,
        root: Root,
        path: PathBuf,
        victim: PathBuf,
    }

    fn tree() -> Tree {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("root");
        let victim = outside.path().join("victim");
        fs::create_dir(&path).unwrap();
        fs::create_dir(&victim).unwrap();
        Tree { root: Root::open(&path).unwrap(), _outside: outside, path, victim }
    }

    #[test]
    fn what_was_created_is_taken_away_and_what_was_there_stays() {
        let tree = tree();
        fs::create_dir(tree.path.join("etc")).unwrap();
        let mut created = Created::default();
        ensure(&tree.root, "/etc/hosts", TargetKind::File, &mut created).unwrap();
        ensure(&tree.root, "/a/b/c", TargetKind::Directory, &mut created).unwrap();
        assert!(tree.path.join("a/b/c").is_dir());
        fs::write(tree.path.join("a/kept"), "by the program").unwrap();
        created.remove();
        assert!(!tree.path.join("etc/hosts").exists());
        assert!(!tree.path.join("a/b").exists());
        assert!(tree.path.join("a/kept").exists());
        assert!(tree.path.join("etc").exists());
    }

    #[test]
    fn a_stub_that_the_program_filled_or_replaced_stays() {
        let tree = tree();
        let mut created = Created::default();
        ensure(&tree.root, "/filled", TargetKind::File, &mut created).unwrap();
        ensure(&tree.root, "/replaced", TargetKind::File, &mut created).unwrap();
        fs::write(tree.path.join("filled"), "x").unwrap();
        fs::remove_file(tree.path.join("replaced")).unwrap();
        symlink(&tree.victim, tree.path.join("replaced")).unwrap();
        created.remove();
        assert!(tree.path.join("filled").exists());
        assert!(tree.path.join("replaced").is_symlink());
        assert!(tree.victim.exists());
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let tree = tree();
        symlink(&tree.victim, tree.path.join("absolute")).unwrap();
        symlink("../../../../victim", tree.path.join("relative")).unwrap();
        for target in ["/absolute/x", "/relative/x", "/../../victim/x"] {
            let path = ensure(&tree.root, target, TargetKind::File, &mut Created::default()).unwrap();
            assert!(tree.path.join(path.strip_prefix("/").unwrap()).is_file(), "{target}");
        }
        assert_eq!(fs::read_dir(&tree.victim).unwrap().count(), 0);
    }

    #[test]
    fn a_link_to_nowhere_leads_to_where_the_file_is_created() {
        let tree = tree();
        fs::create_dir(tree.path.join("etc")).unwrap();
        symlink("../run/resolve/stub.conf", tree.path.join("etc/resolv.conf")).unwrap();
        let path = ensure(&tree.root, "/etc/resolv.conf", TargetKind::File, &mut Created::default()).unwrap();
        assert_eq!(path, Path::new("/run/resolve/stub.conf"));
        assert!(tree.path.join("run/resolve/stub.conf").is_file());
    }

    #[test]
    fn loops_and_files_in_the_way_are_refused() {
        let tree = tree();
        symlink("loop", tree.path.join("loop")).unwrap();
        fs::write(tree.path.join("file"), "").unwrap();
        for (target, kind) in
            [("/loop", TargetKind::File), ("/file/x", TargetKind::File), ("/file", TargetKind::Directory)]
        {
            let refused = ensure(&tree.root, target, kind, &mut Created::default()).unwrap_err();
            assert_eq!(refused.kind, FailureKind::InvalidRequest, "{target}");
        }
    }

    #[test]
    fn an_image_whose_dev_is_a_link_is_refused() {
        let tree = tree();
        fs::create_dir(tree.path.join("proc")).unwrap();
        refuse_links(&tree.root).unwrap();
        symlink(&tree.victim, tree.path.join("dev")).unwrap();
        assert_eq!(refuse_links(&tree.root).unwrap_err().kind, FailureKind::InvalidRequest);
    }
}
