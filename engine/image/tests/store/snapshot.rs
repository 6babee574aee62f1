//! All that a layer must keep of a tree, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use homeostat_files::{FileKind, Root};

/// One line for each file: path, kind, permissions, time in seconds, attributes, content, and the first name that it
/// shares its inode with.
pub(crate) fn snapshot(tree: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let root = Root::open(tree).unwrap();
    describe(&root, "", &mut lines, &mut BTreeMap::new());
    lines
}

fn describe(root: &Root, path: &str, lines: &mut Vec<String>, inodes: &mut BTreeMap<u64, String>) {
    let handle =
        if path.is_empty() { root.resolve("").unwrap() } else { root.entry(path).unwrap().handle().unwrap() };
    let metadata = handle.metadata().unwrap();
    if metadata.kind == FileKind::Socket {
        return;
    }
    let is_whiteout = metadata.kind == FileKind::CharacterDevice && metadata.represents == (0, 0);
    if is_whiteout {
        lines.push(format!("{path} whiteout"));
        return;
    }
    let permissions = metadata.permissions;
    let mut line =
        format!("{path} {:?} {:o} {}:{}", metadata.kind, permissions.mode, permissions.uid, permissions.gid);
    write!(line, " @{} {:?}", metadata.modified.seconds, metadata.represents).unwrap();
    for name in handle.xattr_names().unwrap() {
        let name_text = name.to_str().unwrap().to_owned();
        let is_content =
            !name_text.starts_with("trusted.overlay.") && !name_text.starts_with("security.selinux");
        if is_content || name_text == "trusted.overlay.opaque" {
            write!(line, " {name_text}={:?}", handle.xattr(&name).unwrap().unwrap()).unwrap();
        }
    }
    match metadata.kind {
        FileKind::Regular => {
            let mut content = Vec::new();
            handle.open_to_read().unwrap().read_to_end(&mut content).unwrap();
            write!(line, " {} {}", content.len(), homeostat_image::Digest::of(&content)).unwrap();
        }
        FileKind::Symlink => write!(line, " -> {}", handle.read_link().unwrap().display()).unwrap(),
        _ => {}
    }
    if metadata.kind != FileKind::Directory && metadata.links > 1 {
        write!(line, " = {}", inodes.entry(metadata.inode).or_insert_with(|| path.to_owned())).unwrap();
    }
    lines.push(line);
    if metadata.kind == FileKind::Directory {
        for name in root.read_directory(path).unwrap() {
            describe(root, &format!("{path}/{}", name.to_str().unwrap()), lines, inodes);
        }
    }
}
