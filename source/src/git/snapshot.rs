//! The specs of a commit, read from the object database.

use std::path::Path;
use std::sync::Arc;

use git2::{ErrorCode, Oid, Repository};
use homeostat_reconciler::ports::Snapshot;
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SpecFile;

use super::error::Failure;
use super::tree::{Found, GitTree, blob_size, find};
use crate::content::ContentError;
use crate::limits;
use crate::spec_file::{check_total, is_spec_name, unreadable};

/// The snapshot of a commit, for the directory `path` of it.
pub(super) fn read(repository: &Repository, revision: Oid, path: &str) -> Result<Snapshot, Failure> {
    let root = root_of(repository, revision, path)?;
    let specs = specs(repository, root)?;
    Ok(Snapshot {
        revision: revision.to_string(),
        specs,
        tree: Arc::new(GitTree::new(repository.path().to_owned(), root)),
    })
}

/// The tree that the directory `path` is at a revision.
pub(super) fn root(repository: &Repository, revision: &str, path: &str) -> Result<Oid, Failure> {
    let revision = Oid::from_str(revision).map_err(|error| {
        PortError::new(ErrorKind::Internal, "the snapshot is not of a git repository").caused_by(error)
    })?;
    root_of(repository, revision, path)
}

/// The tree that the directory `path` is at a commit, or at the commit that a tag names.
pub(super) fn root_of(repository: &Repository, revision: Oid, path: &str) -> Result<Oid, Failure> {
    let object = repository.find_object(revision, None).map_err(Failure::Mirror)?;
    let commit = object.peel_to_commit().map_err(|error| match error.code() {
        ErrorCode::InvalidSpec | ErrorCode::Peel => Failure::Port(
            PortError::new(ErrorKind::User, "the branch does not lead to a commit").caused_by(error),
        ),
        _ => Failure::Mirror(error),
    })?;
    match find(repository, commit.tree_id(), path)? {
        Some(Found::Directory(tree)) => Ok(tree),
        _ => Err(Failure::Port(
            PortError::new(ErrorKind::User, format!("there is no directory {path} at commit {revision}"))
                .with_hint("name the directory that the spec files are in with --path"),
        )),
    }
}

fn specs(repository: &Repository, root: Oid) -> Result<Vec<SpecFile>, Failure> {
    let tree = repository.find_tree(root).map_err(Failure::Mirror)?;
    let mut specs = Vec::new();
    for entry in tree.iter().filter(|entry| is_spec_name(entry.name_bytes())) {
        let path = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        specs.push(match content(repository, root, &path) {
            Ok(content) => SpecFile { path, content },
            Err(error @ ContentError::Object { .. }) => return Err(error.into()),
            Err(error) => unreadable(path, &error.line()),
        });
        check_total(&specs)?;
    }
    specs.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(specs)
}

fn content(repository: &Repository, root: Oid, name: &str) -> Result<Vec<u8>, ContentError> {
    let path = Path::new(name);
    let Some(Found::File { oid, .. }) = find(repository, root, name)? else {
        return Ok(unreadable(name.to_owned(), "it is no file, or a symbolic link to none").content);
    };
    if blob_size(repository, oid, path)? >= limits::SPEC_BYTES {
        // The compiler wants to know only that it is too large; and this is no TOML, whatever it were to do.
        return Ok(vec![b'!'; limits::SPEC_BYTES]);
    }
    let blob = repository.find_blob(oid).map_err(ContentError::object(path))?;
    Ok(blob.content().to_vec())
}
