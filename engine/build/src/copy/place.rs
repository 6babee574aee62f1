//! Selected files put into an image.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use homeostat_files::{FileKind, Metadata, NodeKind, Permissions, Root, Timestamp};

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
    tree: &Tree,
    selections: &[Selection],
) -> Result<(), StepError> {
    let path = Path::new(&destination.path);
    let in_the_way = |found| StepError::InTheWay { path: destination.path.clone(), found };
    let real = real_path(root, path)?.ok_or_else(|| in_the_way("a link that leads in a circle"))?;
    let exists = root.metadata(&real)?.is_some_and(|metadata| metadata.is_directory());
    let directory = destination.path.ends_with('/') || exists;
    let files = selections.iter().filter(|selection| !selection.is_directory).count();
    if !directory && (files > 1 || (files == 1 && selections.len() > 1)) {
        return Err(StepError::NoDirectory { destination: destination.path.clone() });
    }
    let mut placer = Placer { root, destination, tree, times: Vec::new() };
    for selection in selections {
        let target =
            if directory && !selection.is_directory { real.join(&selection.name) } else { real.clone() };
        for item in &selection.items {
            placer.put(&target, item)?;
        }
    }
    placer.set_times()
}

struct Placer<'a> {
    root: &'a Root,
    destination: &'a Destination,
    tree: &'a Tree,
    /// Directories that were created, whose time changes as long as files come into them.
    times: Vec<(PathBuf, Timestamp)>,
}

impl Placer<'_> {
    fn put(&mut self, target: &Path, item: &Item) -> Result<(), StepError> {
        let path = if item.path.as_os_str().is_empty() { target.to_owned() } else { target.join(&item.path) };
        match &item.content {
            Content::Inline(text) => self.put_inline(&path, text),
            Content::Tree { real, metadata } if metadata.is_directory() => {
                self.put_directory(&path, real, metadata)
            }
            Content::Tree { real, metadata } => self.put_file(&path, real, metadata),
        }
    }

    fn put_inline(&self, path: &Path, text: &str) -> Result<(), StepError> {
        self.make_way(path)?;
        let mut file = self.root.create_file(path, self.permissions(Permissions::root(INLINE_MODE)))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// A directory that is there already stays as it is.
    fn put_directory(&mut self, path: &Path, real: &Path, metadata: &Metadata) -> Result<(), StepError> {
        match self.root.metadata(path)? {
            Some(found) if found.is_directory() => return Ok(()),
            Some(_) => return Err(in_the_way(path, "no directory")),
            None => {}
        }
        self.make_parent(path)?;
        if self.root.symlink_metadata(path)?.is_some() {
            return Err(in_the_way(path, "a link that leads nowhere"));
        }
        self.root.entry(path)?.create_directory(self.permissions(metadata.permissions))?;
        self.copy_attributes(real, path)?;
        self.times.push((path.to_owned(), metadata.modified));
        Ok(())
    }

    fn put_file(&self, path: &Path, real: &Path, metadata: &Metadata) -> Result<(), StepError> {
        self.make_way(path)?;
        let entry = self.root.entry(path)?;
        let permissions = self.permissions(metadata.permissions);
        match metadata.kind {
            FileKind::Symlink => {
                entry.symlink(&self.tree.root.entry(real)?.handle()?.read_link()?)?;
                entry.handle()?.set_owner(permissions.uid, permissions.gid)?;
            }
            FileKind::Fifo => drop(entry.make_node(NodeKind::Fifo, permissions)?),
            _ => {
                let from = self.tree.root.open_to_read(real)?;
                let to = entry.create_file(permissions)?;
                // The bare files, for which the kernel does the copying.
                io::copy(&mut from.file(), &mut to.file())?;
            }
        }
        self.copy_attributes(real, path)?;
        Ok(entry.handle()?.set_modified(metadata.modified)?)
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
        let parent = path.parent().unwrap_or(Path::new(""));
        let (uid, gid) = self.destination.owner.unwrap_or((0, 0));
        match self.root.create_directories(parent, Permissions { mode: 0o755, uid, gid }) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(in_the_way(parent, "no directory"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn permissions(&self, own: Permissions) -> Permissions {
        let owner = self.destination.owner;
        let (uid, gid) = owner.unwrap_or(if self.tree.keep_owner { (own.uid, own.gid) } else { (0, 0) });
        Permissions { mode: self.destination.mode.unwrap_or(own.mode), uid, gid }
    }

    /// File capabilities and the like come along from other images, not from the context.
    fn copy_attributes(&self, real: &Path, path: &Path) -> Result<(), StepError> {
        if !self.tree.keep_owner {
            return Ok(());
        }
        let from = self.tree.root.entry(real)?.handle()?;
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
