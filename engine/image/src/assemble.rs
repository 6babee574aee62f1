//! A tree of the files of layers, for where overlayfs cannot mount them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use homeostat_files::{Metadata, Root, Timestamp, copy_attributes, copy_file, shares_blocks};

use crate::layers::{Layers, Listed, Node};
use crate::tar::is_content_xattr;
use crate::{ImageStore, StoreError};

/// What the files of an assembled tree are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assembly {
    /// Copies: they may be changed. Their blocks are shared with those of the layers where the file system can.
    Copies,
    /// The files of the layers themselves under one more name: they take no room and must not be changed, only removed and
    /// replaced. Directories are the tree's own.
    Links,
}

/// A file, whatever its names.
pub(crate) type FileId = ((u32, u32), u64);

pub(crate) fn file_id(metadata: &Metadata) -> FileId {
    (metadata.device, metadata.inode)
}

pub(crate) fn is_content(name: &OsStr) -> bool {
    is_content_xattr(name.as_bytes())
}

impl ImageStore {
    /// Fills an empty directory on the disk of the store with the tree that layers are together, as a mount of them would
    /// show it. `layers` are their directories, the top one first.
    ///
    /// # Errors
    /// [`StoreError::NoRoom`] before anything is copied. On any error what was made stays for the caller to remove.
    pub fn assemble(&self, layers: &[PathBuf], target: &Path, what: Assembly) -> Result<(), StoreError> {
        if layers.is_empty() {
            return Ok(());
        }
        let layers = Layers { directories: layers, marks: self.marks() };
        if what == Assembly::Copies {
            self.ensure_room_for_copies(&layers, target)?;
        }
        let mut assembler = Assembler { what, target: Root::open(target)?, first_names: HashMap::new() };
        assembler.assemble(&layers)
    }

    /// Refuses copies that the disk has no room for.
    fn ensure_room_for_copies(&self, layers: &Layers<'_>, target: &Path) -> Result<(), StoreError> {
        if shares_blocks(target)? {
            return Ok(());
        }
        self.ensure_room("a copy of the image", size(layers)?)
    }
}

/// What copies take on disk, in bytes.
fn size(layers: &Layers<'_>) -> Result<u64, StoreError> {
    let mut bytes = 0_u64;
    let mut seen = std::collections::HashSet::new();
    let mut pending = vec![layers.top()];
    while let Some(directory) = pending.pop() {
        for (name, node) in &layers.list(&directory)?.nodes {
            let found = &node.metadata;
            if found.is_directory() {
                pending.push(directory.beneath(name, node));
            } else if found.links > 1 && !seen.insert(file_id(found)) {
                continue;
            }
            bytes = bytes.saturating_add(found.allocated);
        }
    }
    Ok(bytes)
}

struct Assembler {
    what: Assembly,
    target: Root,
    /// Where the first name is of each file that has several.
    first_names: HashMap<FileId, PathBuf>,
}

impl Assembler {
    fn assemble(&mut self, layers: &Layers<'_>) -> Result<(), StoreError> {
        let mut pending = vec![layers.top()];
        let mut times: Vec<(PathBuf, Timestamp)> = Vec::new();
        while let Some(directory) = pending.pop() {
            let listed = layers.list(&directory)?;
            let into = self.target.subtree(&directory.path)?;
            for (name, node) in &listed.nodes {
                if node.metadata.is_directory() {
                    copy_file(&listed.part(node).entry(name)?.handle()?, &into.entry(name)?, is_content)?;
                    pending.push(directory.beneath(name, node));
                } else {
                    self.file(&listed, name, node, &into, &directory.path)?;
                }
            }
            if directory.path.as_os_str().is_empty() {
                copy_attributes(&listed.directory()?, &into.resolve("")?, is_content)?;
            }
            times.push((directory.path, listed.directory()?.metadata()?.modified));
        }
        // Only now is nothing more put into them.
        for (path, modified) in times {
            self.target.resolve(path)?.set_modified(modified)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        listed: &Listed,
        name: &OsStr,
        node: &Node,
        into: &Root,
        directory: &Path,
    ) -> Result<(), StoreError> {
        let (source, target) = (listed.part(node).entry(name)?, into.entry(name)?);
        if self.what == Assembly::Links {
            return Ok(target.hard_link(&source)?);
        }
        if node.metadata.links > 1 {
            let id = file_id(&node.metadata);
            if let Some(first) = self.first_names.get(&id) {
                return Ok(target.hard_link(&self.target.entry(first)?)?);
            }
            self.first_names.insert(id, directory.join(name));
        }
        Ok(copy_file(&source.handle()?, &target, is_content)?)
    }
}
