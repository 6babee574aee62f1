//! Where a path really is in a tree.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use homeostat_files::{FileError, FileKind, Root};

/// As many symbolic links as Linux follows in one path.
const LINKS_LIMIT: usize = 40;

/// The path inside `root` that `path` leads to, relative to its top, with all links followed; what does not exist is
/// kept as it is. `None` when links go in circles.
pub(crate) fn real_path(root: &Root, path: &Path) -> Result<Option<PathBuf>, FileError> {
    let mut real = PathBuf::new();
    let mut rest: Vec<OsString> = Vec::new();
    push_components(&mut rest, path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        match root.symlink_metadata(&next)? {
            Some(metadata) if metadata.kind == FileKind::Symlink => {
                links += 1;
                if links > LINKS_LIMIT {
                    return Ok(None);
                }
                let target = root.entry(&next)?.handle()?.read_link()?;
                if target.is_absolute() {
                    real.clear();
                }
                push_components(&mut rest, &target);
            }
            _ => real = next,
        }
    }
    Ok(Some(real))
}

/// Puts the names of a path on the stack, so that its first comes off first.
fn push_components(stack: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => stack.push(name.to_owned()),
            Component::ParentDir => stack.push("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_the_tree_and_missing_names_stay() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        fs_err::create_dir(place.path().join("run")).unwrap();
        symlink("/run", place.path().join("absolute")).unwrap();
        symlink("../../../run", place.path().join("up")).unwrap();
        symlink("loop", place.path().join("loop")).unwrap();
        let cases = [
            ("/absolute/a/b", Some("run/a/b")),
            ("up/a", Some("run/a")),
            ("a/../../b", Some("b")),
            ("/", Some("")),
            ("loop/x", None),
        ];
        for (path, real) in cases {
            assert_eq!(real_path(&root, Path::new(path)).unwrap().as_deref(), real.map(Path::new), "{path}");
        }
    }
}
