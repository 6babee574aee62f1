//! The bare repository that holds what was fetched.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Once;

use fs_err as fs;
use git2::{ErrorClass, ErrorCode, Oid, Repository};
use homeostat_reconciler::{ErrorKind, PortError};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::error::Failure;
use super::tree;

/// Refs of the mirror are in here, one for each URL and branch.
const NAMESPACE: &str = "refs/homeostat/";

/// Every fetch adds a pack; from so many on they are made one.
const PACKS: usize = 32;

/// A directory with a bare repository that belongs to one source.
pub(super) struct Mirror {
    directory: PathBuf,
    reference: String,
    tidied: Once,
}

impl Mirror {
    /// Does not touch the disk. What was fetched from another URL or branch is never taken for this one's.
    pub(super) fn new(directory: PathBuf, url: &str, branch: Option<&str>) -> Self {
        let origin =
            Sha256::new().chain_update(url).chain_update(b"\0").chain_update(branch.unwrap_or_default());
        let name = Oid::from_bytes(&origin.finalize()[..20])
            .map_or_else(|_| "head".to_owned(), |oid| oid.to_string());
        Self { directory, reference: format!("{NAMESPACE}{name}"), tidied: Once::new() }
    }

    /// The ref that holds the revision.
    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    /// Whether there is something to open.
    pub(super) fn exists(&self) -> bool {
        self.directory.join("HEAD").exists()
    }

    /// Opens the mirror; creates it where there is nothing or an empty directory.
    pub(super) fn open(&self) -> Result<Repository, Failure> {
        let empty = match fs::read_dir(&self.directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(cannot("read", error).into()),
        };
        if empty {
            return self.create().map_err(|error| cannot("create", error).into());
        }
        self.tidied.call_once(|| tidy(&self.directory));
        Repository::open_bare(&self.directory).map_err(|error| match error.code() {
            ErrorCode::Owner => Failure::Port(cannot("use", error)),
            _ => Failure::Mirror(error),
        })
    }

    fn create(&self) -> Result<Repository, Box<dyn std::error::Error + Send + Sync>> {
        fs::create_dir_all(&self.directory)?;
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).external_template(false).mode(git2::RepositoryInitMode::from_bits_retain(0o700));
        let repository = Repository::init_opts(&self.directory, &options)?;
        // A power cut must not leave a ref to objects without bytes.
        repository.config()?.set_bool("core.fsyncObjectFiles", true)?;
        Ok(repository)
    }

    /// The revision that was fetched last.
    pub(super) fn revision(&self, repository: &Repository) -> Result<Option<Oid>, Failure> {
        match repository.refname_to_id(&self.reference) {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(Failure::Mirror(error)),
        }
    }

    /// Keeps a broken mirror for who wants to know, in place of an older one.
    pub(super) fn move_aside(&self) -> Result<(), PortError> {
        let mut aside = OsString::from(&self.directory);
        aside.push(".broken");
        remove_if_there(Path::new(&aside)).map_err(|error| cannot("clear the place for", error))?;
        fs::rename(&self.directory, &aside).map_err(|error| cannot("move aside", error))
    }

    /// Makes one pack of many, with this revision alone. That is housekeeping: if it fails, everything stays as it is.
    pub(super) fn compact(&self, repository: &Repository, revision: Oid) {
        let packs = self.directory.join("objects/pack");
        let old = files_with(&packs, |name| has_extension(name, "pack"));
        if old.len() < PACKS {
            return;
        }
        match self.try_compact(repository, revision, &packs, &old) {
            Ok(()) => debug!("made one pack of {} in {}", old.len(), self.directory.display()),
            Err(error) => warn!("cannot compact {}: {error}", self.directory.display()),
        }
    }

    fn try_compact(
        &self,
        repository: &Repository,
        revision: Oid,
        packs: &Path,
        old: &[PathBuf],
    ) -> Result<(), Box<dyn std::error::Error>> {
        for reference in repository.references_glob(&format!("{NAMESPACE}*"))? {
            let mut reference = reference?;
            if reference.name()? != self.reference {
                reference.delete()?;
            }
        }
        let mut builder = repository.packbuilder()?;
        builder.insert_commit(revision)?;
        builder.write(packs, 0o444)?;
        let new = builder.name()?.map(|name| format!("pack-{name}.pack"));
        end_history_at(repository, revision, false)?;
        for pack in old {
            let is_new = pack.file_name().is_some_and(|name| Some(name) == new.as_deref().map(AsRef::as_ref));
            if !is_new {
                // The index last would be a pack that is announced and not there.
                fs::remove_file(pack.with_extension("idx"))?;
                fs::remove_file(pack)?;
            }
        }
        Ok(())
    }
}

/// Reads every object of a revision, hashes verified, and walks its history as a fetch does.
pub(super) fn check(repository: &Repository, revision: Oid) -> Result<(), Failure> {
    let try_check = || {
        let commit = repository.find_commit(revision)?;
        tree::read_all(repository, commit.tree_id())?;
        let mut history = repository.revwalk()?;
        history.push(revision)?;
        history.try_for_each(|commit| commit.map(drop))
    };
    try_check().map_err(Failure::Mirror)
}

/// Says that the parents of this commit are not in the mirror, so that nobody looks for them
/// (gitrepository-layout(5), `shallow`), and makes everything that was written until now durable.
pub(super) fn end_history_at(
    repository: &Repository,
    revision: Oid,
    others_too: bool,
) -> Result<(), git2::Error> {
    let file = repository.path().join("shallow");
    let mut ends = if others_too { fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
    let line = format!("{revision}\n");
    if !ends.contains(&line) {
        ends.push_str(&line);
    }
    let partial = repository.path().join("shallow.lock");
    let write = || {
        fs::write(&partial, ends)?;
        rustix::fs::syncfs(fs::File::open(&partial)?.file())?;
        fs::rename(&partial, &file)
    };
    write().map_err(|error| git2::Error::new(ErrorCode::GenericError, ErrorClass::Os, error.to_string()))
}

/// Removes what a kill leaves behind: locks that nobody holds, and half-received packs.
fn tidy(directory: &Path) {
    let places = [directory.to_owned(), directory.join("refs"), directory.join("refs/homeostat")];
    let locks = places.iter().flat_map(|place| files_with(place, |name| has_extension(name, "lock")));
    let packs = files_with(&directory.join("objects/pack"), |name| !name.starts_with("pack-"));
    for file in locks.chain(packs) {
        if let Err(error) = fs::remove_file(&file) {
            warn!("cannot remove what an interrupted fetch left: {error}");
        }
    }
}

/// The files in a directory whose names are so. None where there is no directory.
fn files_with(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter(|entry| entry.file_name().to_str().is_some_and(&wanted)).map(|entry| entry.path()).collect()
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn remove_if_there(directory: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn cannot(action: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new(ErrorKind::Transient, format!("cannot {action} the mirror of the source"))
        .caused_by(error)
        .with_hint("check the data directory and its disk")
}
