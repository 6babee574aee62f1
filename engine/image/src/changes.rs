//! What was changed in a tree that began as that of layers.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use homeostat_files::{FileError, FileKind, Handle, Metadata, Root, Timestamp, copy_file};

use crate::assemble::{FileId, file_id, is_content};
use crate::layers::{Directory, Layers};
use crate::marks::Marks;
use crate::{StagedLayer, StoreError};

/// How much of two files is compared at once, in bytes.
const PIECE: usize = 1 << 18;

impl StagedLayer {
    /// Moves what is not in the tree of `layers`, or other than there, from `tree` to this layer's directory, and marks what is
    /// gone: as if `tree` had been an overlay of both. `layers` are the directories with which `tree` was assembled.
    ///
    /// What is the same by kind, owner, mode, time, attributes and content counts as unchanged, whatever was done to it.
    ///
    /// # Assumptions
    /// There are layers. `tree` is on the disk of the store. Nobody changes it any more, and it is thrown away afterwards.
    ///
    /// # Errors
    /// When a file cannot be read or moved.
    pub fn take_changes(&self, layers: &[PathBuf], tree: &Path) -> Result<(), StoreError> {
        let marks = self.store().marks();
        let layers = Layers { directories: layers, marks };
        let tree = Root::open(tree)?;
        let changes = Changes::find(&layers, &tree)?;
        let mut mover = Mover { tree: &tree, upper: Root::open(self.upper())?, times: BTreeMap::new() };
        mover.top(&layers)?;
        mover.take(&changes, marks)?;
        mover.set_times()?;
        Ok(())
    }
}

/// What differs, by path.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What is not there any more.
    pub(crate) removed: Vec<PathBuf>,
    /// Files that are new or other, and directories that are new with all that is in them.
    pub(crate) new: BTreeSet<PathBuf>,
    /// Those of the new at whose path the layers have nothing.
    pub(crate) added: BTreeSet<PathBuf>,
    /// Those of the new directories that took the place of a file.
    opaque: Vec<PathBuf>,
    /// Directories with another owner, mode, time or attribute.
    pub(crate) directories: Vec<PathBuf>,
}

/// One file under several names, or one that had several.
#[derive(Debug, Default)]
struct Several {
    /// The names under which it looks unchanged.
    names: Vec<PathBuf>,
    /// Which files these names meant in the layers.
    origins: BTreeSet<FileId>,
    /// It has names that are new, or meant something else.
    is_new: bool,
}

impl Changes {
    pub(crate) fn find(layers: &Layers<'_>, tree: &Root) -> Result<Self, FileError> {
        let mut finder = Finder { tree, changes: Self::default(), several: BTreeMap::new() };
        let mut pending = vec![layers.top()];
        while let Some(directory) = pending.pop() {
            finder.compare(layers, &directory, &mut pending)?;
        }
        finder.settle_names();
        Ok(finder.changes)
    }
}

struct Finder<'a> {
    tree: &'a Root,
    changes: Changes,
    several: BTreeMap<FileId, Several>,
}

impl Finder<'_> {
    fn compare(
        &mut self,
        layers: &Layers<'_>,
        directory: &Directory,
        pending: &mut Vec<Directory>,
    ) -> Result<(), FileError> {
        let listed = layers.list(directory)?;
        let tree = self.tree.subtree(&directory.path)?;
        let names = tree.read_directory("")?;
        let gone = listed.nodes.keys().filter(|name| names.binary_search(name).is_err());
        self.changes.removed.extend(gone.map(|name| directory.path.join(name)));
        for name in &names {
            let path = directory.path.join(name);
            let handle = tree.entry(name)?.handle()?;
            let found = handle.metadata()?;
            let Some(node) = listed.nodes.get(name) else {
                self.changes.added.insert(path.clone());
                self.add(path, &found)?;
                continue;
            };
            match (node.metadata.is_directory(), found.is_directory()) {
                (true, true) => {
                    let beneath = directory.beneath(name, node);
                    if !has_same_attributes(&listed.part(node).entry(name)?.handle()?, &handle)? {
                        self.changes.directories.push(path);
                    }
                    pending.push(beneath);
                }
                (false, true) => {
                    self.changes.opaque.push(path.clone());
                    self.add(path, &found)?;
                }
                (true, false) => self.add(path, &found)?,
                (false, false) => {
                    let was = listed.part(node).entry(name)?.handle()?;
                    let is_same = is_same_file(&was, &node.metadata, &handle, &found)?;
                    self.file(path, &node.metadata, &found, is_same);
                }
            }
        }
        Ok(())
    }

    /// Something that is new at its path.
    fn add(&mut self, path: PathBuf, found: &Metadata) -> Result<(), FileError> {
        let mut pending = vec![(path.clone(), *found)];
        self.changes.new.insert(path);
        while let Some((path, found)) = pending.pop() {
            if !found.is_directory() {
                if found.links > 1 {
                    self.several.entry(file_id(&found)).or_default().is_new = true;
                }
                continue;
            }
            let directory = self.tree.subtree(&path)?;
            for name in directory.read_directory("")? {
                let Some(found) = directory.symlink_metadata(&name)? else { continue };
                pending.push((path.join(name), found));
            }
        }
        Ok(())
    }

    /// A file that was there.
    fn file(&mut self, path: PathBuf, was: &Metadata, found: &Metadata, is_same: bool) {
        if was.links < 2 && found.links < 2 {
            if !is_same {
                self.changes.new.insert(path);
            }
            return;
        }
        let several = self.several.entry(file_id(found)).or_default();
        if is_same {
            several.names.push(path);
            several.origins.insert(file_id(was));
        } else {
            several.is_new = true;
            self.changes.new.insert(path);
        }
    }

    /// A name that looks unchanged is left to the layers only if it is one file there with the names that are one file
    /// now, and with no others.
    fn settle_names(&mut self) {
        let mut several: Vec<Several> = std::mem::take(&mut self.several).into_values().collect();
        for file in &mut several {
            file.names.sort();
        }
        several.sort_by(|one, other| one.names.cmp(&other.names));
        let mut left = BTreeSet::new();
        for Several { names, origins, is_new } in several {
            let mut origins = origins.into_iter();
            let stays = match (origins.next(), origins.next()) {
                (Some(origin), None) => !is_new && left.insert(origin),
                _ => false,
            };
            if !stays {
                self.changes.new.extend(names);
            }
        }
    }
}

struct Mover<'a> {
    tree: &'a Root,
    upper: Root,
    /// The directories made on the way, and their times.
    times: BTreeMap<PathBuf, Timestamp>,
}

impl Mover<'_> {
    fn take(&mut self, changes: &Changes, marks: Marks) -> Result<(), FileError> {
        // What is moved away changes the times of the directory in which it was.
        for path in changes.removed.iter().chain(&changes.new) {
            self.make_directory(path.parent().unwrap_or(Path::new("")))?;
        }
        for path in &changes.directories {
            self.make_directory(path)?;
        }
        for path in &changes.new {
            self.tree.entry(path)?.rename_to(&self.upper.entry(path)?)?;
        }
        for path in &changes.opaque {
            let handle = self.upper.entry(path)?.handle()?;
            let modified = handle.metadata()?.modified;
            marks.set_opaque(&self.upper, path, &handle)?;
            handle.set_modified(modified)?;
        }
        for path in &changes.removed {
            marks.hide(&self.upper.entry(path)?)?;
        }
        Ok(())
    }

    /// Makes a directory of the tree, and those above it, in the layer too.
    fn make_directory(&mut self, path: &Path) -> Result<(), FileError> {
        // The top directory is there.
        let Some(parent) = path.parent() else { return Ok(()) };
        if self.times.contains_key(path) {
            return Ok(());
        }
        self.make_directory(parent)?;
        let handle = self.tree.entry(path)?.handle()?;
        copy_file(&handle, &self.upper.entry(path)?, is_content)?;
        self.times.insert(path.to_owned(), handle.metadata()?.modified);
        Ok(())
    }

    /// Gives the layer's own directory what was changed of the top directory; its time is that of the layer, unless it was
    /// changed too.
    fn top(&mut self, layers: &Layers<'_>) -> Result<(), FileError> {
        let (was, is) = (layers.list(&layers.top())?.directory()?, self.tree.resolve("")?);
        let top = self.upper.resolve("")?;
        let found = is.metadata()?;
        top.set_permissions(found.permissions)?;
        let attributes = attributes(&is)?;
        if attributes != self::attributes(&was)? {
            for (name, value) in attributes {
                top.set_xattr(&name, &value)?;
            }
        }
        if found.modified != was.metadata()?.modified {
            self.times.insert(PathBuf::new(), found.modified);
        }
        Ok(())
    }

    fn set_times(&self) -> Result<(), FileError> {
        for (path, modified) in &self.times {
            self.upper.resolve(path)?.set_modified(*modified)?;
        }
        Ok(())
    }
}

/// The extended attributes that belong to the content.
fn attributes(handle: &Handle) -> Result<Vec<(OsString, Vec<u8>)>, FileError> {
    let mut attributes = Vec::new();
    for name in handle.xattr_names()? {
        if is_content(&name)
            && let Some(value) = handle.xattr(&name)?
        {
            attributes.push((name, value));
        }
    }
    Ok(attributes)
}

fn has_same_attributes(one: &Handle, other: &Handle) -> Result<bool, FileError> {
    let (was, is) = (one.metadata()?, other.metadata()?);
    let is_same = was.permissions == is.permissions && was.modified == is.modified;
    Ok(is_same && attributes(one)? == attributes(other)?)
}

fn is_same_file(one: &Handle, was: &Metadata, other: &Handle, is: &Metadata) -> Result<bool, FileError> {
    if file_id(was) == file_id(is) {
        return Ok(true);
    }
    let looks_same = was.kind == is.kind && was.size == is.size && was.represents == is.represents;
    if !looks_same || !has_same_attributes(one, other)? {
        return Ok(false);
    }
    match is.kind {
        FileKind::Symlink => Ok(one.read_link()? == other.read_link()?),
        FileKind::Regular => has_same_content(one, other),
        _ => Ok(true),
    }
}

fn has_same_content(one: &Handle, other: &Handle) -> Result<bool, FileError> {
    let failed = |handle: &Handle, source: io::Error| FileError {
        action: "read",
        path: handle.path().to_owned(),
        source,
    };
    let (mut files, handles) = ([one.open_to_read()?, other.open_to_read()?], [one, other]);
    let mut pieces = [Vec::with_capacity(PIECE), Vec::with_capacity(PIECE)];
    loop {
        for ((file, piece), handle) in files.iter_mut().zip(&mut pieces).zip(handles) {
            piece.clear();
            file.take(PIECE as u64).read_to_end(piece).map_err(|error| failed(handle, error))?;
        }
        let [one, other] = &pieces;
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
}
