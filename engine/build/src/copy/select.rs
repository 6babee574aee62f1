//! Which files the sources of `COPY` mean.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use homeostat_dockerfile::{Pattern, clean_path};
use homeostat_files::{FileKind, Metadata};
use homeostat_image::Archive;

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::resolve::real_path;

/// What is special about a source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Selecting<'a> {
    /// Archives are unpacked.
    pub(crate) unpack: bool,
    /// Sources keep the directories that they are in, from `/./` on if there is that; `**` crosses directories.
    pub(crate) parents: bool,
    /// What is left out, by its path beneath the source.
    pub(crate) exclude: &'a [Pattern],
}

/// The files that a source means: one, or those that match its wildcards, which may be none.
pub(crate) fn select<'a>(
    tree: &'a Tree,
    source: &str,
    how: Selecting<'_>,
) -> Result<Vec<Selection<'a>>, StepError> {
    let clean = clean_path(&format!("/{source}"));
    let relative = clean.trim_start_matches('/');
    let pivot = source.find("/./").map(|at| clean_path(&format!("/{}", &source[..at])));
    let pivot = pivot.as_deref().map_or("", |pivot| pivot.trim_start_matches('/'));
    let paths = if !Pattern::is_wild(relative) {
        vec![PathBuf::from(relative)]
    } else if how.parents && relative.contains("**") {
        crossing(tree, relative)?
    } else {
        matching(tree, relative)?
    };
    let mut selections = Vec::new();
    let mut ignored = false;
    for path in paths {
        let Some(real) = real_path(&tree.root, &path)? else { continue };
        let Some(metadata) = tree.root.symlink_metadata(&real)? else { continue };
        match selection(tree, &path, &real, metadata, how)? {
            Some(mut selection) => {
                if how.parents {
                    let kept = path.strip_prefix(pivot).unwrap_or(&path);
                    let parent = if selection.is_directory { Some(kept) } else { kept.parent() };
                    parent.unwrap_or(Path::new("")).clone_into(&mut selection.within);
                }
                selections.push(selection);
            }
            None => ignored = true,
        }
    }
    // A wildcard may match nothing: `yarn.lock*` is a file that need not be there.
    if selections.is_empty() && !Pattern::is_wild(relative) {
        return Err(StepError::NoSource { path: source.to_owned(), ignored });
    }
    Ok(selections)
}

/// What is at a path, whatever characters are in it.
pub(crate) fn select_exactly<'a>(
    tree: &'a Tree,
    path: &Path,
    how: Selecting<'_>,
) -> Result<Option<Selection<'a>>, StepError> {
    match tree.root.symlink_metadata(path)? {
        Some(metadata) => selection(tree, path, path, metadata, how),
        None => Ok(None),
    }
}

/// Whether a file is an archive; its content tells.
fn is_archive(tree: &Tree, path: &Path) -> Result<bool, StepError> {
    Ok(Archive::open(tree.root.open_to_read(path)?)?.is_some())
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

/// The files that match, in order of their paths; `**` crosses directories.
fn crossing(tree: &Tree, pattern: &str) -> Result<Vec<PathBuf>, StepError> {
    let pattern = Pattern::for_ignore(pattern)?;
    let mut found = Vec::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(directory) = ahead.pop() {
        for name in tree.root.read_directory(&directory)? {
            let path = directory.join(name);
            if pattern.matches(&path.to_string_lossy()) {
                found.push(path);
            } else if tree.root.symlink_metadata(&path)?.is_some_and(|metadata| metadata.is_directory()) {
                ahead.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// One source with all beneath it; nothing when all of it is ignored.
fn selection<'a>(
    tree: &'a Tree,
    path: &Path,
    real: &Path,
    metadata: Metadata,
    how: Selecting<'_>,
) -> Result<Option<Selection<'a>>, StepError> {
    let mut items = Vec::new();
    walk(tree, real, metadata, Path::new(""), &mut items)?;
    items.retain(|item| {
        let own = if item.path.as_os_str().is_empty() && !metadata.is_directory() {
            Path::new(path.file_name().unwrap_or_default())
        } else {
            &item.path
        };
        !own.ancestors()
            .any(|path| how.exclude.iter().any(|pattern| pattern.matches(&path.to_string_lossy())))
    });
    if items.is_empty() {
        return Ok(None);
    }
    Ok(Some(Selection {
        tree,
        name: path.file_name().unwrap_or(OsStr::new("")).to_owned(),
        is_directory: metadata.is_directory(),
        unpack: how.unpack && metadata.kind == FileKind::Regular && is_archive(tree, real)?,
        within: PathBuf::new(),
        items,
    }))
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
        FileKind::CharacterDevice | FileKind::BlockDevice if tree.keep_owner => {}
        // Devices of the context are this host's.
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
