//! What selected files are worth to the cache.

use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use homeostat_files::{FileKind, Permissions};
use sha2::{Digest as _, Sha256};

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::key::Key;

/// Adds names, kinds, modes, owners, link targets and contents; never times.
pub(crate) fn add_to_key(key: &mut Key, tree: &Tree, selections: &[Selection]) -> Result<(), StepError> {
    for selection in selections {
        let name = selection.name.as_bytes();
        let within = selection.within.as_os_str().as_bytes();
        let unpack: &[u8] = if selection.unpack { b"unpack" } else { b"" };
        key.add_all("the sources", [name, within, unpack]);
        for item in &selection.items {
            add_item(key, tree, item)?;
        }
    }
    Ok(())
}

fn add_item(key: &mut Key, tree: &Tree, item: &Item) -> Result<(), StepError> {
    let mut values = vec![item.path.as_os_str().as_bytes().to_owned()];
    let (real, metadata) = match &item.content {
        Content::Inline(text) => {
            values.push(text.clone().into_bytes());
            key.add_all("the text", values);
            return Ok(());
        }
        Content::Tree { real, metadata } => (real, metadata),
    };
    values.push(format!("{:?} {:o}", metadata.kind, metadata.permissions.mode).into_bytes());
    if tree.keep_owner {
        let Permissions { uid, gid, .. } = metadata.permissions;
        values.push(format!("{uid} {gid}").into_bytes());
    }
    match metadata.kind {
        FileKind::Regular => values.push(content(tree, real)?),
        FileKind::CharacterDevice | FileKind::BlockDevice => {
            values.push(format!("{:?}", metadata.represents).into_bytes());
        }
        FileKind::Symlink => {
            let target = tree.root.entry(real)?.handle()?.read_link()?;
            values.push(target.into_os_string().into_vec());
        }
        _ => {}
    }
    let shown = if real.as_os_str().is_empty() { Path::new(".") } else { real.as_path() };
    key.add_all(format!("{} {}", tree.title, shown.display()), values);
    Ok(())
}

fn content(tree: &Tree, path: &Path) -> Result<Vec<u8>, StepError> {
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
