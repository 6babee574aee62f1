//! Selected files put into an image.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use homeostat_files::{FileKind, Metadata, NodeKind, Permissions, Root, Timestamp};
use homeostat_image::{Archive, Limits};

use super::{Content, Item, Selection, Tree};
use crate::StepError;
use crate::resolve::real_path;

/// Mode of the files that stand in the Dockerfile itself.
const INLINE_MODE: u32 = 0o644;

/// Where files go, and how they look there.
pub(crate) struct Destination {
    /// Absolute path in the image; a directory if it ends in `/`.
    pub(crate) path: String,
    /// Owner and group of all files, where they are given.
    pub(crate) owner: Option<(u32, u32)>,
    /// Mode of all files, where it is given.
    pub(crate) mode: Option<u32>,
}

/// Copies the files. Paths resolve inside the image's root, also through its links.
pub(crate) fn place(
    root: &Root,
    destination: &Destination,
    selections: &[Selection<'_>],
) -> Result<(), StepError> {
    let path = Path::new(&destination.path);
    let in_the_way = |found| StepError::InTheWay { path: destination.path.clone(), found };
    let real = real_path(root, path)?.ok_or_else(|| in_the_way("a link that leads in a circle"))?;
    let exists = root.metadata(&real)?.is_some_and(|metadata| metadata.is_directory());
    let directory = destination.path.ends_with('/') || exists;
    let files = selections.iter().filter(|selection| !selection.is_directory && !selection.unpack).count();
    if !directory && (files > 1 || (files == 1 && selections.len() > 1)) {
        return Err(StepError::NoDirectory { destination: destination.path.clone() });
    }
    let mut placer = Placer { root, destination, times: Vec::new(), names: HashMap::new() };
    for selection in selections {
        let real = real.join(&selection.within);
        if selection.unpack {
            placer.unpack(&real, selection)?;
            continue;
        }
        let kept = !selection.within.as_os_str().is_empty();
        let target =
            if (directory || kept) && !selection.is_directory { real.join(&selection.name) } else { real };
        for item in &selection.items {
            placer.put(selection.tree, &target, item)?;
        }
    }
    placer.set_times()
}

/// A file of a tree that is to be put somewhere.
#[derive(Clone, Copy)]
struct Found<'a> {
    tree: &'a Tree,
    real: &'a Path,
    metadata: &'a Metadata,
}

struct Placer<'a> {
    root: &'a Root,
    destination: &'a Destination,
    /// Directories that were created, whose time changes as long as files come into them.
    times: Vec<(PathBuf, Timestamp)>,
    /// Files with several names, by device and inode, and where each was put first.
    names: HashMap<((u32, u32), u64), PathBuf>,
}

impl Placer<'_> {
    fn put(&mut self, tree: &Tree, target: &Path, item: &Item) -> Result<(), StepError> {
        let path = if item.path.as_os_str().is_empty() { target.to_owned() } else { target.join(&item.path) };
        match &item.content {
            Content::Inline(text) => self.put_inline(tree, &path, text),
            Content::Tree { real, metadata } => {
                let found = Found { tree, real, metadata };
                if metadata.is_directory() {
                    self.put_directory(&path, found, !item.path.as_os_str().is_empty())
                } else {
                    self.put_file(&path, found)
                }
            }
        }
    }

    /// Unpacks an archive into a directory, which is created if it is missing.
    fn unpack(&self, directory: &Path, selection: &Selection<'_>) -> Result<(), StepError> {
        for item in &selection.items {
            let Content::Tree { real, .. } = &item.content else { continue };
            let Some(archive) = Archive::open(selection.tree.root.open_to_read(real)?)? else { continue };
            self.make_directories(directory)?;
            let into = self.root.subtree(directory)?;
            archive
                .unpack(&into, Limits::default())
                .map_err(|source| StepError::Archive { path: real.display().to_string(), source })?;
        }
        Ok(())
    }

    fn put_inline(&self, tree: &Tree, path: &Path, text: &str) -> Result<(), StepError> {
        self.make_way(path)?;
        let mut file = self.root.create_file(path, self.permissions(tree, Permissions::root(INLINE_MODE)))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// A directory of a source makes one that is there already like itself. The source itself is only the place of
    /// its content: where that is missing, it is a directory like any that is made on the way.
    fn put_directory(&mut self, path: &Path, found: Found<'_>, nested: bool) -> Result<(), StepError> {
        match self.root.metadata(path)? {
            Some(there) if there.is_directory() && nested => return self.take_over(path, found),
            Some(there) if there.is_directory() => return Ok(()),
            Some(_) => return Err(in_the_way(path, "no directory")),
            None => {}
        }
        self.make_parent(path)?;
        if self.root.symlink_metadata(path)?.is_some() {
            return Err(in_the_way(path, "a link that leads nowhere"));
        }
        if nested {
            self.root
                .entry(path)?
                .create_directory(self.permissions(found.tree, found.metadata.permissions))?;
            self.copy_attributes(found, path)?;
        } else {
            self.make_directories(path)?;
        }
        self.times.push((path.to_owned(), found.metadata.modified));
        Ok(())
    }

    fn take_over(&mut self, path: &Path, found: Found<'_>) -> Result<(), StepError> {
        self.root.resolve(path)?.set_permissions(self.permissions(found.tree, found.metadata.permissions))?;
        self.copy_attributes(found, path)?;
        self.times.push((path.to_owned(), found.metadata.modified));
        Ok(())
    }

    fn put_file(&mut self, path: &Path, found: Found<'_>) -> Result<(), StepError> {
        self.make_way(path)?;
        let entry = self.root.entry(path)?;
        let permissions = self.permissions(found.tree, found.metadata.permissions);
        match found.metadata.kind {
            FileKind::Symlink => {
                entry.symlink(&found.tree.root.entry(found.real)?.handle()?.read_link()?)?;
                entry.handle()?.set_owner(permissions.uid, permissions.gid)?;
            }
            FileKind::Fifo => drop(entry.make_node(NodeKind::Fifo, permissions)?),
            FileKind::CharacterDevice | FileKind::BlockDevice => {
                let (major, minor) = found.metadata.represents;
                let kind = if found.metadata.kind == FileKind::BlockDevice {
                    NodeKind::BlockDevice(major, minor)
                } else {
                    NodeKind::CharacterDevice(major, minor)
                };
                drop(entry.make_node(kind, permissions)?);
            }
            _ => {
                if let Some(first) = self.first_name(found.metadata, path) {
                    return Ok(entry.hard_link(&self.root.entry(first)?)?);
                }
                let from = found.tree.root.open_to_read(found.real)?;
                let to = entry.create_file(permissions)?;
                // The bare files, for which the kernel does the copying.
                io::copy(&mut from.file(), &mut to.file())?;
            }
        }
        self.copy_attributes(found, path)?;
        Ok(entry.handle()?.set_modified(found.metadata.modified)?)
    }

    /// Where a file of several names was put already; else notes that it is put at `path`.
    fn first_name(&mut self, metadata: &Metadata, path: &Path) -> Option<PathBuf> {
        if metadata.links < 2 {
            return None;
        }
        match self.names.entry((metadata.device, metadata.inode)) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(none) => {
                none.insert(path.to_owned());
                None
            }
        }
    }

    /// Makes sure that nothing is at `path`, and that its directory is there. Files are replaced; directories are not.
    fn make_way(&self, path: &Path) -> Result<(), StepError> {
        match self.root.symlink_metadata(path)? {
            Some(metadata) if metadata.is_directory() => Err(in_the_way(path, "a directory")),
            Some(_) => {
                self.root.remove(path)?;
                Ok(())
            }
            None => self.make_parent(path),
        }
    }

    fn make_parent(&self, path: &Path) -> Result<(), StepError> {
        self.make_directories(path.parent().unwrap_or(Path::new("")))
    }

    fn make_directories(&self, parent: &Path) -> Result<(), StepError> {
        let (uid, gid) = self.destination.owner.unwrap_or((0, 0));
        match self.root.create_directories(parent, Permissions { mode: 0o755, uid, gid }) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(in_the_way(parent, "no directory"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn permissions(&self, tree: &Tree, own: Permissions) -> Permissions {
        let owner = self.destination.owner;
        let (uid, gid) = owner.unwrap_or(if tree.keep_owner { (own.uid, own.gid) } else { (0, 0) });
        Permissions { mode: self.destination.mode.unwrap_or(own.mode), uid, gid }
    }

    /// File capabilities and the like come along from other images, not from the context.
    fn copy_attributes(&self, found: Found<'_>, path: &Path) -> Result<(), StepError> {
        if !found.tree.keep_owner {
            return Ok(());
        }
        let from = found.tree.root.entry(found.real)?.handle()?;
        let names = from.xattr_names()?;
        for name in names.iter().filter(|name| is_portable(name)) {
            if let Some(value) = from.xattr(name)? {
                self.root.entry(path)?.handle()?.set_xattr(name, &value)?;
            }
        }
        Ok(())
    }

    /// From the innermost directories to the outermost.
    fn set_times(self) -> Result<(), StepError> {
        for (path, modified) in self.times.iter().rev() {
            self.root.resolve(path)?.set_modified(*modified)?;
        }
        Ok(())
    }
}

fn is_portable(name: &OsStr) -> bool {
    name == "security.capability" || name.to_string_lossy().starts_with("user.")
}

fn in_the_way(path: &Path, found: &'static str) -> StepError {
    StepError::InTheWay { path: format!("/{}", path.display()), found }
}
