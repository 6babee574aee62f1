//! Layers as one tree, read without a mount, by overlayfs' rules.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use homeostat_files::{FileError, Handle, Metadata, Root};

use crate::marks::Marks;
use crate::tar::OPAQUE;

/// The directories of layers, the top one first, and how they say what they hide.
pub(crate) struct Layers<'a> {
    pub(crate) directories: &'a [PathBuf],
    pub(crate) marks: Marks,
}

/// A directory of the tree.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    /// The layers in which it is, the top one first, by their place.
    layers: Vec<usize>,
}

/// What is in a directory.
pub(crate) struct Listed {
    /// The directory in each layer in which it is.
    parts: Vec<Root>,
    pub(crate) nodes: BTreeMap<OsString, Node>,
}

/// What a name means.
#[derive(Debug)]
pub(crate) struct Node {
    /// The topmost file of this name.
    pub(crate) metadata: Metadata,
    /// Those of the directory's parts in which it is, the top one first. Of a file there is one.
    parts: Vec<usize>,
    /// The layers beneath have no part in it.
    is_closed: bool,
    is_whiteout: bool,
}

impl Layers<'_> {
    pub(crate) fn top(&self) -> Directory {
        Directory { path: PathBuf::new(), layers: (0..self.directories.len()).collect() }
    }

    /// Looks into a directory.
    pub(crate) fn list(&self, directory: &Directory) -> Result<Listed, FileError> {
        let mut listed = Listed { parts: Vec::new(), nodes: BTreeMap::new() };
        for layer in &directory.layers {
            let part = Root::open(&self.directories[*layer])?.subtree(&directory.path)?;
            for name in part.read_directory("")? {
                if self.marks == Marks::Links && name.as_bytes() == OPAQUE {
                    continue;
                }
                self.add(&mut listed, &part, name)?;
            }
            listed.parts.push(part);
        }
        listed.nodes.retain(|_, node| !node.is_whiteout);
        Ok(listed)
    }

    /// Adds what a layer has under a name to what those above it have.
    fn add(&self, listed: &mut Listed, part: &Root, name: OsString) -> Result<(), FileError> {
        let number = listed.parts.len();
        if listed.nodes.get(&name).is_some_and(|known| known.is_closed) {
            return Ok(());
        }
        let handle = part.entry(&name)?.handle()?;
        let metadata = handle.metadata()?;
        let is_directory = metadata.is_directory();
        let is_closed = !is_directory || self.marks.is_opaque(part, Path::new(&name), &handle)?;
        match listed.nodes.entry(name) {
            Entry::Occupied(mut known) => {
                known.get_mut().is_closed = is_closed;
                if is_directory {
                    known.get_mut().parts.push(number);
                }
            }
            Entry::Vacant(place) => {
                let is_whiteout = self.marks.is_whiteout(&handle, &metadata)?;
                place.insert(Node { metadata, parts: vec![number], is_closed, is_whiteout });
            }
        }
        Ok(())
    }
}

impl Directory {
    /// A directory in this one.
    pub(crate) fn beneath(&self, name: &OsStr, node: &Node) -> Self {
        let layers = node.parts.iter().map(|part| self.layers[*part]).collect();
        Self { path: self.path.join(name), layers }
    }
}

impl Listed {
    /// The topmost directory and in it the name of a node.
    pub(crate) fn part(&self, node: &Node) -> &Root {
        &self.parts[node.parts[0]]
    }

    /// The directory itself, as it is seen.
    pub(crate) fn directory(&self) -> Result<Handle, FileError> {
        self.parts[0].resolve("")
    }
}
