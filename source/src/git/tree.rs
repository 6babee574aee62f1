//! Trees of the object database as files of a source.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use git2::{Error, ObjectType, Oid, Repository};
use homeostat_spec::{EntryKind, Tree, TreeEntry};

use crate::content::{ContentError, is_git_directory, link_stays_inside, show};
use crate::limits;

/// File types of tree entries, as in git's index format.
const DIRECTORY: i32 = 0o040_000;
const LINK: i32 = 0o120_000;
const COMMIT: i32 = 0o160_000;
const EXECUTABLE: i32 = 0o100;

/// The longest target of a symbolic link (Linux `PATH_MAX`), in bytes.
const LINK_BYTES: usize = 4096;

/// One entry of a tree that was found to be harmless.
pub(super) enum Node {
    Directory(Oid),
    File { oid: Oid, executable: bool },
    Link { target: OsString },
}

/// What a path of the source leads to.
pub(super) enum Found {
    Directory(Oid),
    File { oid: Oid, executable: bool },
}

impl Found {
    /// Object id and mode: equal for equal names, modes, link targets and bytes.
    pub(super) fn digest(&self) -> String {
        match self {
            Self::Directory(oid) => format!("{oid}040000"),
            Self::File { oid, executable: true } => format!("{oid}100755"),
            Self::File { oid, executable: false } => format!("{oid}100644"),
        }
    }
}

/// Follows a path from a tree, through links as long as they stay below it. `None` if nothing is there.
pub(super) fn find(repository: &Repository, root: Oid, path: &str) -> Result<Option<Found>, ContentError> {
    let shown = Path::new(path);
    let mut trees = vec![root];
    let mut left: VecDeque<Vec<u8>> = components(path.as_bytes()).collect();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == b".." {
            trees.pop();
            if trees.is_empty() {
                return Err(ContentError::Leaves(show(shown)));
            }
            continue;
        }
        if is_git_directory(&name) {
            return Err(ContentError::GitDirectory(show(shown)));
        }
        let directory = trees.last().copied().unwrap_or(root);
        let tree = repository.find_tree(directory).map_err(ContentError::object(shown))?;
        let Some(entry) = tree.get_name_bytes(&name) else { return Ok(None) };
        match entry.filemode_raw() & 0o170_000 {
            DIRECTORY => trees.push(entry.id()),
            COMMIT => return Err(ContentError::Submodule(show(shown))),
            LINK => {
                links += 1;
                let target = link_target(repository, entry.id(), shown)?;
                if links > limits::LINKS {
                    return Err(ContentError::LinkLoop(show(shown)));
                }
                if target.starts_with(b"/") {
                    return Err(ContentError::Leaves(show(shown)));
                }
                left = components(&target).chain(left).collect();
            }
            _ if !left.is_empty() => return Ok(None),
            _ => {
                let executable = entry.filemode_raw() & EXECUTABLE != 0;
                return Ok(Some(Found::File { oid: entry.id(), executable }));
            }
        }
    }
    Ok(Some(Found::Directory(trees.pop().unwrap_or(root))))
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
    let parts: Vec<_> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    parts.into_iter().filter(|part| !matches!(&part[..], b"" | b"."))
}

fn link_target(repository: &Repository, oid: Oid, path: &Path) -> Result<Vec<u8>, ContentError> {
    if blob_size(repository, oid, path)? > LINK_BYTES {
        return Err(ContentError::TooLarge(show(path)));
    }
    let blob = repository.find_blob(oid).map_err(ContentError::object(path))?;
    Ok(blob.content().to_vec())
}

/// The size of a blob in bytes, without reading it.
pub(super) fn blob_size(repository: &Repository, oid: Oid, path: &Path) -> Result<usize, ContentError> {
    let odb = repository.odb().map_err(ContentError::object(path))?;
    odb.read_header(oid).map(|(size, _)| size).map_err(ContentError::object(path))
}

/// Lists directories within the limits for one walk.
#[derive(Default)]
pub(super) struct Lister {
    entries: usize,
}

impl Lister {
    /// The entries of a tree that lies `depth` directories below the one that is walked.
    ///
    /// Nothing in git keeps hostile names, links and submodules out of a tree.
    pub(super) fn list(
        &mut self,
        repository: &Repository,
        tree: Oid,
        path: &Path,
        depth: usize,
    ) -> Result<Vec<(OsString, Node)>, ContentError> {
        if depth > limits::DEPTH {
            return Err(ContentError::TooDeep(show(path)));
        }
        let tree = repository.find_tree(tree).map_err(ContentError::object(path))?;
        let mut seen = BTreeSet::new();
        let mut nodes = Vec::new();
        for entry in &tree {
            self.entries += 1;
            if self.entries > limits::ENTRIES {
                return Err(ContentError::TooMany);
            }
            let name = checked_name(entry.name_bytes())?.to_owned();
            let path = path.join(&name);
            if !seen.insert(name.clone()) {
                return Err(ContentError::Duplicate(show(&path)));
            }
            let node = match entry.filemode_raw() & 0o170_000 {
                DIRECTORY => Node::Directory(entry.id()),
                COMMIT => return Err(ContentError::Submodule(show(&path))),
                LINK => Node::Link { target: checked_link(repository, entry.id(), &path, depth)? },
                _ => Node::File { oid: entry.id(), executable: entry.filemode_raw() & EXECUTABLE != 0 },
            };
            nodes.push((name, node));
        }
        Ok(nodes)
    }

    /// Lists a directory and all within.
    fn list_all(
        &mut self,
        repository: &Repository,
        tree: Oid,
        path: &Path,
        depth: usize,
    ) -> Result<(), ContentError> {
        for (name, node) in self.list(repository, tree, path, depth)? {
            if let Node::Directory(oid) = node {
                self.list_all(repository, oid, &path.join(name), depth + 1)?;
            }
        }
        Ok(())
    }
}

fn checked_name(name: &[u8]) -> Result<&OsStr, ContentError> {
    let harmful = matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0);
    if harmful || is_git_directory(name) || name.len() > 255 {
        return Err(ContentError::Name(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(OsStr::from_bytes(name))
}

fn checked_link(
    repository: &Repository,
    oid: Oid,
    path: &Path,
    depth: usize,
) -> Result<OsString, ContentError> {
    let target = link_target(repository, oid, path)?;
    let target = OsStr::from_bytes(&target);
    if target.is_empty() || target.as_bytes().contains(&0) || !link_stays_inside(depth, Path::new(target)) {
        return Err(ContentError::LinkLeaves { path: show(path), target: show(Path::new(target)) });
    }
    Ok(target.to_owned())
}

/// Reads every object of a tree; libgit2 verifies the hashes.
pub(super) fn read_all(repository: &Repository, root: Oid) -> Result<(), Error> {
    let odb = repository.odb()?;
    let mut seen = BTreeSet::from([root]);
    let mut left = vec![root];
    while let Some(oid) = left.pop() {
        for entry in &repository.find_tree(oid)? {
            let kind = entry.kind();
            if !matches!(kind, Some(ObjectType::Tree | ObjectType::Blob)) || !seen.insert(entry.id()) {
                continue;
            }
            odb.read(entry.id())?;
            if kind == Some(ObjectType::Tree) {
                left.push(entry.id());
            }
        }
    }
    Ok(())
}

/// The tree of one revision.
///
/// The repository is opened for each question: a snapshot is kept for long, and while anyone has a pack
/// open, libgit2 gives that one to everybody, also after the mirror was fetched anew.
pub(super) struct GitTree {
    mirror: PathBuf,
    root: Oid,
    /// What [`Lister`] says about directories that were asked for already.
    checked: Mutex<HashMap<Oid, Result<(), String>>>,
}

impl GitTree {
    pub(super) fn new(mirror: PathBuf, root: Oid) -> Self {
        Self { mirror, root, checked: Mutex::default() }
    }

    /// Fails where an export would: the compiler can tell the user which spec asks for it.
    fn check(&self, repository: &Repository, oid: Oid, path: &str) -> Result<(), String> {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let result = checked.entry(oid).or_insert_with(|| {
            Lister::default().list_all(repository, oid, Path::new(path), 0).map_err(|error| error.line())
        });
        result.clone()
    }
}

impl Tree for GitTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        let repository = Repository::open_bare(&self.mirror)
            .map_err(|error| format!("cannot open the mirror of the source: {error}"))?;
        let Some(found) = find(&repository, self.root, path).map_err(|error| error.line())? else {
            return Ok(None);
        };
        let kind = match found {
            Found::Directory(oid) => {
                self.check(&repository, oid, path)?;
                EntryKind::Directory
            }
            Found::File { .. } => EntryKind::File,
        };
        Ok(Some(TreeEntry { kind, digest: found.digest() }))
    }
}
