//! Writing files of a commit out.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use git2::{Oid, Repository};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SourcePath;
use rustix::fd::OwnedFd;

use super::error::Failure;
use super::tree::{Found, Lister, Node, blob_size, find};
use crate::content::{ContentError, show};
use crate::limits;
use crate::staging::{self, Staging};

/// Permissions of what git knows as a directory or as executable, and of other files.
const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;

/// Writes the file or directory at a path below the tree to the destination, whole or not at all.
///
/// The objects are named by the digest, and libgit2 verifies what it reads by their names.
pub(super) fn export(
    repository: &Repository,
    root: Oid,
    path: &SourcePath,
    destination: &Path,
) -> Result<(), Failure> {
    let found = find(repository, root, &path.path)?.filter(|found| found.digest() == path.digest);
    let Some(found) = found else {
        let message = format!("{} is not what it was in the revision that was planned from", path.path);
        return Err(PortError::new(ErrorKind::Transient, message).into());
    };
    let staging = Staging::new(destination)?;
    let mut copy = Copy { repository, lister: Lister::default(), bytes: 0 };
    let shown = Path::new(&path.path);
    match found {
        Found::Directory(oid) => copy.directory(oid, shown, 0, staging.parent(), staging.name()),
        Found::File { oid, executable } => {
            copy.file(oid, executable, shown, staging.parent(), staging.name())
        }
    }?;
    Ok(staging.commit()?)
}

/// Writes a whole tree to the destination, or nothing.
pub(super) fn write_directory(repository: &Repository, root: Oid, destination: &Path) -> Result<(), Failure> {
    let staging = Staging::new(destination)?;
    let mut copy = Copy { repository, lister: Lister::default(), bytes: 0 };
    copy.directory(root, Path::new(""), 0, staging.parent(), staging.name())?;
    Ok(staging.commit()?)
}

struct Copy<'a> {
    repository: &'a Repository,
    lister: Lister,
    bytes: u64,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        tree: Oid,
        path: &Path,
        depth: usize,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<(), ContentError> {
        let nodes = self.lister.list(self.repository, tree, path, depth)?;
        let directory = staging::create_directory(parent, name, path)?;
        for (name, node) in nodes {
            let path = path.join(&name);
            match node {
                Node::Directory(oid) => self.directory(oid, &path, depth + 1, &directory, &name)?,
                Node::File { oid, executable } => self.file(oid, executable, &path, &directory, &name)?,
                Node::Link { target } => staging::create_link(&directory, &name, &target, &path)?,
            }
        }
        staging::set_mode(&directory, EXECUTABLE, path)
    }

    fn file(
        &mut self,
        oid: Oid,
        executable: bool,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
    ) -> Result<(), ContentError> {
        let size = blob_size(self.repository, oid, path)?;
        self.bytes = self.bytes.saturating_add(size as u64);
        if size > limits::GIT_FILE_BYTES || self.bytes > limits::BYTES {
            return Err(ContentError::TooLarge(show(path)));
        }
        let blob = self.repository.find_blob(oid).map_err(ContentError::object(path))?;
        let mut file = staging::create_file(parent, name, path)?;
        file.write_all(blob.content()).map_err(|source| ContentError::Io {
            action: "write",
            path: show(path),
            source,
        })?;
        staging::set_mode(&file, if executable { EXECUTABLE } else { PLAIN }, path)
    }
}
