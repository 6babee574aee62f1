//! Which files the sources of `COPY` mean.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use homeostat_dockerfile::{Pattern, clean_path};
use homeostat_files::{FileKind, Metadata};

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::resolve::real_path;

/// How the archives begin that Docker's `ADD` unpacks, and at which byte.
const ARCHIVES: [(usize, &[u8]); 5] = [
    (0, &[0x1f, 0x8b]),
    (0, b"BZh"),
    (0, &[0xfd, b'7', b'z', b'X', b'Z', 0]),
    (0, &[0x28, 0xb5, 0x2f, 0xfd]),
    (257, b"ustar"),
];

/// The files that a source means, which may have wildcards; at least one.
pub(crate) fn select(tree: &Tree, source: &str) -> Result<Vec<Selection>, StepError> {
    let clean = clean_path(&format!("/{source}"));
    let relative = clean.trim_start_matches('/');
    let paths =
        if Pattern::is_wild(relative) { matching(tree, relative)? } else { vec![PathBuf::from(relative)] };
    let mut selections = Vec::new();
    let mut ignored = false;
    for path in paths {
        let Some(real) = real_path(&tree.root, &path)? else { continue };
        let Some(metadata) = tree.root.symlink_metadata(&real)? else { continue };
        match selection(tree, &path, &real, metadata)? {
            Some(selection) => selections.push(selection),
            None => ignored = true,
        }
    }
    if selections.is_empty() {
        return Err(StepError::NoSource { path: source.to_owned(), ignored });
    }
    Ok(selections)
}

/// Refuses what Docker's `ADD` would unpack: archives are told by their content.
pub(crate) fn refuse_archives(tree: &Tree, selections: &[Selection]) -> Result<(), StepError> {
    for selection in selections.iter().filter(|selection| !selection.is_directory) {
        for item in &selection.items {
            if let Content::Tree { real, metadata } = &item.content
                && metadata.kind == FileKind::Regular
                && is_archive(tree, real)?
            {
                return Err(StepError::Archive { path: real.display().to_string() });
            }
        }
    }
    Ok(())
}

fn is_archive(tree: &Tree, path: &Path) -> Result<bool, StepError> {
    let mut begin = Vec::new();
    tree.root.open_to_read(path)?.take(512).read_to_end(&mut begin)?;
    let is = |(at, magic): &(usize, &[u8])| begin.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    Ok(ARCHIVES.iter().any(is))
}

/// The paths that match, in order of their names. Wildcards match within one name.
fn matching(tree: &Tree, pattern: &str) -> Result<Vec<PathBuf>, StepError> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.split('/') {
        let pattern = Pattern::for_copy(component)?;
        let wild = Pattern::is_wild(component);
        let mut next = Vec::new();
        for path in paths {
            if !wild {
                next.push(path.join(component));
            } else if tree.root.metadata(&path)?.is_some_and(|metadata| metadata.is_directory()) {
                let names = tree.root.read_directory(&path)?;
                let matching = names.iter().filter(|name| pattern.matches(&name.to_string_lossy()));
                next.extend(matching.map(|name| path.join(name)));
            }
        }
        paths = next;
    }
    Ok(paths)
}

/// One source with all beneath it; nothing when all of it is ignored.
fn selection(
    tree: &Tree,
    path: &Path,
    real: &Path,
    metadata: Metadata,
) -> Result<Option<Selection>, StepError> {
    let mut items = Vec::new();
    walk(tree, real, metadata, Path::new(""), &mut items)?;
    let name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    let is_directory = metadata.is_directory();
    Ok((!items.is_empty()).then_some(Selection { name, is_directory, items }))
}

/// Adds what is at `real`. An ignored directory is added only for the sake of something in it that is excepted.
fn walk(
    tree: &Tree,
    real: &Path,
    metadata: Metadata,
    path: &Path,
    items: &mut Vec<Item>,
) -> Result<(), StepError> {
    let ignored = !real.as_os_str().is_empty() && tree.ignore.is_ignored(&real.to_string_lossy());
    if ignored && !(metadata.is_directory() && tree.ignore.has_exceptions()) {
        return Ok(());
    }
    match metadata.kind {
        FileKind::Regular | FileKind::Directory | FileKind::Symlink | FileKind::Fifo => {}
        // Whoever listens on a socket is not copied with it.
        FileKind::Socket => return Ok(()),
        FileKind::CharacterDevice | FileKind::BlockDevice => {
            return Err(StepError::Special { path: real.display().to_string() });
        }
    }
    let own = items.len();
    items.push(Item { path: path.to_owned(), content: Content::Tree { real: real.to_owned(), metadata } });
    if metadata.is_directory() {
        for name in tree.root.read_directory(real)? {
            let real = real.join(&name);
            if let Some(metadata) = tree.root.symlink_metadata(&real)? {
                walk(tree, &real, metadata, &path.join(&name), items)?;
            }
        }
        if ignored && items.len() == own + 1 {
            items.pop();
        }
    }
    Ok(())
}
