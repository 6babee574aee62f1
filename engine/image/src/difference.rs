//! How a tree differs from the layers that it began with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use homeostat_files::{FileError, Root};

use crate::changes::Changes;
use crate::layers::{Directory, Layers, Listed, Node};
use crate::marks::Marks;
use crate::tar::OPAQUE;
use crate::{ImageStore, StoreError};

/// A file that is other than in the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, from the top of the tree.
    pub path: PathBuf,
    /// What became of it.
    pub kind: DifferenceKind,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// The layers have nothing at this path.
    Added,
    /// It is other than in the layers, or something in it is.
    Changed,
    /// It is not there any more, with all that was in it.
    Deleted,
}

use DifferenceKind::{Added, Changed, Deleted};

impl ImageStore {
    /// How an overlay of `layers`, the top one first, differs from them: what is in its upper directory. Sorted by path.
    ///
    /// What somebody changes meanwhile may be told or not.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn differences_of_overlay(
        &self,
        layers: &[PathBuf],
        upper: &Path,
    ) -> Result<Vec<Difference>, StoreError> {
        let layers = Layers { directories: layers, marks: self.marks() };
        let mut walk = Walk { layers, upper: Root::open(upper)?, found: BTreeMap::new() };
        let mut pending =
            vec![Place { path: PathBuf::new(), below: Some(walk.layers.top()), is_opaque: false }];
        while let Some(place) = pending.pop() {
            walk.visit(&place, &mut pending)?;
        }
        Ok(sorted(walk.found))
    }

    /// How a tree that was assembled of copies of `layers`, the top one first, differs from them. Sorted by path.
    ///
    /// # Errors
    /// When a file cannot be read, or is removed meanwhile.
    pub fn differences_of_copy(
        &self,
        layers: &[PathBuf],
        tree: &Path,
    ) -> Result<Vec<Difference>, StoreError> {
        let layers = Layers { directories: layers, marks: self.marks() };
        let tree = Root::open(tree)?;
        let changes = Changes::find(&layers, &tree)?;
        let mut found = BTreeMap::new();
        for path in &changes.new {
            let is_added = changes.added.contains(path);
            add_all(&tree, path, &mut found)?;
            found.insert(path.clone(), if is_added { Added } else { Changed });
        }
        found.extend(changes.directories.into_iter().map(|path| (path, Changed)));
        found.extend(changes.removed.into_iter().map(|path| (path, Deleted)));
        for path in found.keys().cloned().collect::<Vec<_>>() {
            for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
                found.entry(above.to_owned()).or_insert(Changed);
            }
        }
        Ok(sorted(found))
    }
}

/// By the whole path, as its bytes say.
fn sorted(found: BTreeMap<PathBuf, DifferenceKind>) -> Vec<Difference> {
    let mut sorted: Vec<_> = found.into_iter().map(|(path, kind)| Difference { path, kind }).collect();
    sorted.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
    sorted
}

/// A directory of an upper directory that is to be looked at.
struct Place {
    path: PathBuf,
    /// What the layers have there.
    below: Option<Directory>,
    /// It hides that.
    is_opaque: bool,
}

struct Walk<'a> {
    layers: Layers<'a>,
    upper: Root,
    found: BTreeMap<PathBuf, DifferenceKind>,
}

impl Walk<'_> {
    fn visit(&mut self, place: &Place, pending: &mut Vec<Place>) -> Result<(), FileError> {
        let Some(part) = there(self.upper.subtree(&place.path))? else { return Ok(()) };
        let Some(names) = there(part.read_directory(""))? else { return Ok(()) };
        let below = place.below.as_ref().map(|below| Ok((below, self.layers.list(below)?))).transpose()?;
        if let (true, Some((_, listed))) = (place.is_opaque, &below) {
            let gone = listed.nodes.keys().filter(|name| names.binary_search(name).is_err());
            self.found.extend(gone.map(|name| (place.path.join(name), Deleted)));
        }
        for name in &names {
            let is_mark = self.layers.marks == Marks::Links && name.as_bytes() == OPAQUE;
            if !is_mark && let Some(beneath) = self.look(&part, place, name, below.as_ref())? {
                pending.push(beneath);
            }
        }
        Ok(())
    }

    /// Looks at one name; gives the directory that it is.
    fn look(
        &mut self,
        part: &Root,
        place: &Place,
        name: &OsString,
        below: Option<&(&Directory, Listed)>,
    ) -> Result<Option<Place>, FileError> {
        let Some(handle) = there(part.entry(name).and_then(|entry| entry.handle()))? else {
            return Ok(None);
        };
        let (path, metadata) = (place.path.join(name), handle.metadata()?);
        let node = below.and_then(|(_, listed)| listed.nodes.get(name));
        if self.layers.marks.is_whiteout(&handle, &metadata)? {
            if node.is_some() {
                self.found.insert(path, Deleted);
            }
            return Ok(None);
        }
        self.found.insert(path.clone(), if node.is_some() { Changed } else { Added });
        if !metadata.is_directory() {
            return Ok(None);
        }
        let is_opaque = place.is_opaque || self.layers.marks.is_opaque(part, Path::new(name), &handle)?;
        let beneath = |directory: &Directory, node: &Node| {
            node.metadata.is_directory().then(|| directory.beneath(OsStr::new(name), node))
        };
        let below = below.zip(node).and_then(|((directory, _), node)| beneath(directory, node));
        Ok(Some(Place { path, below, is_opaque }))
    }
}

/// Everything in a directory that is new.
fn add_all(tree: &Root, path: &Path, found: &mut BTreeMap<PathBuf, DifferenceKind>) -> Result<(), FileError> {
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        if tree.symlink_metadata(&path)?.is_some_and(|metadata| metadata.is_directory()) {
            for name in tree.read_directory(&path)? {
                found.insert(path.join(&name), Added);
                pending.push(path.join(name));
            }
        }
    }
    Ok(())
}

/// Nothing where somebody has removed it meanwhile, or put something else in its place.
fn there<T>(result: Result<T, FileError>) -> Result<Option<T>, FileError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
