//! What selected files are worth to the cache.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;

use homeostat_files::FileKind;
use sha2::{Digest as _, Sha256};

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::key::Key;

/// Adds names, kinds, modes, owners, link targets and contents; never times.
pub(crate) fn add_to_key(key: &mut Key, tree: &Tree, selections: &[Selection]) -> Result<(), StepError> {
    for selection in selections {
        key.add("source");
        key.add(selection.name.as_bytes());
        key.add(selection.within.as_os_str().as_bytes());
        key.add(if selection.unpack { "unpack" } else { "" });
        for item in &selection.items {
            add_item(key, tree, item)?;
        }
    }
    Ok(())
}

fn add_item(key: &mut Key, tree: &Tree, item: &Item) -> Result<(), StepError> {
    key.add(item.path.as_os_str().as_bytes());
    let (real, metadata) = match &item.content {
        Content::Inline(text) => {
            key.add("inline");
            key.add(text);
            return Ok(());
        }
        Content::Tree { real, metadata } => (real, metadata),
    };
    key.add(format!("{:?} {:o}", metadata.kind, metadata.permissions.mode));
    if tree.keep_owner {
        key.add(format!("{} {}", metadata.permissions.uid, metadata.permissions.gid));
    }
    match metadata.kind {
        FileKind::Regular => key.add(content(tree, real)?),
        FileKind::CharacterDevice | FileKind::BlockDevice => key.add(format!("{:?}", metadata.represents)),
        FileKind::Symlink => {
            key.add(tree.root.entry(real)?.handle()?.read_link()?.as_os_str().as_bytes());
        }
        _ => {}
    }
    Ok(())
}

fn content(tree: &Tree, path: &std::path::Path) -> Result<Vec<u8>, StepError> {
    let mut file = tree.root.open_to_read(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            length => hash.update(&buffer[..length]),
        }
    }
}
