//! What selected files are worth to the cache.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use homeostat_files::{FileKind, Permissions};
use homeostat_image::Digest;

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::key::Key;

/// Adds names, kinds, modes, owners, link targets and contents; never times.
pub(crate) fn add_to_key(key: &mut Key, selections: &[Selection<'_>]) -> Result<(), StepError> {
    for selection in selections {
        let name = selection.name.as_bytes();
        let within = selection.within.as_os_str().as_bytes();
        let unpack: &[u8] = if selection.unpack { b"unpack" } else { b"" };
        key.add_all("the sources", [name, within, unpack]);
        for item in &selection.items {
            add_item(key, selection.tree, item)?;
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
        FileKind::Regular => values.push(digest_of(tree, real)?.to_string().into_bytes()),
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

/// The digest of a file's content.
pub(crate) fn digest_of(tree: &Tree, path: &Path) -> Result<Digest, StepError> {
    Ok(Digest::of_reader(tree.root.open_to_read(path)?)?)
}
