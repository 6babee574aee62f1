//! A repository that is read once: a build context, or what an `ADD` of a Dockerfile names.

use std::path::Path;
use std::sync::Arc;

use git2::{Oid, Repository};
use homeostat_reconciler::PortError;

use super::error::{Failure, remote as remote_error};
use super::fetch::{Remote, Wanted};
use super::{GitConfig, GitSource, Inner, blocking, check_branch, export, snapshot};

/// How many digits the hash of a commit has.
const HASH: usize = 40;

/// The hash of the commit that a reference of a repository names now: that of a branch or a tag, or the reference itself if it is
/// the whole hash of a commit; that of the default branch when absent. The [branch](GitConfig::branch) of the configuration is not looked at.
///
/// # Errors
/// As [`GitSource::new`] and its snapshots; of kind `User` where the repository has no such branch or tag.
pub async fn commit_of(config: GitConfig, reference: Option<&str>) -> Result<String, PortError> {
    let (inner, reference) = prepare(config, reference)?;
    blocking(move || {
        let remote = Remote::new(&inner.location, &inner.credentials);
        let commit = remote.find(wanted(reference.as_deref()));
        commit.map(|commit| commit.to_string()).map_err(|failure| failure.into_port(inner.location.url()))
    })
    .await
}

/// Fetches a repository once, writes the directory [`path`](GitConfig::path) of it out, whole or not at all, and gives the
/// hash of the commit. The reference is that of [`commit_of`]. The mirror is left behind.
///
/// # Errors
/// As [`commit_of`]; of kind `User` where the commit has no such directory.
pub async fn fetch_directory(
    config: GitConfig,
    reference: Option<&str>,
    destination: &Path,
) -> Result<String, PortError> {
    let (inner, reference) = prepare(config, reference)?;
    let destination = destination.to_owned();
    blocking(move || {
        let written = inner.fetch_directory(wanted(reference.as_deref()), &destination);
        written.map_err(|failure| failure.into_port(inner.location.url()))
    })
    .await
}

fn prepare(config: GitConfig, reference: Option<&str>) -> Result<(Arc<Inner>, Option<String>), PortError> {
    check_branch(reference)?;
    Ok((GitSource::new(config)?.inner, reference.map(str::to_owned)))
}

/// What a reference means. A branch that is called like a hash is not found, as by git itself.
fn wanted(reference: Option<&str>) -> Wanted<'_> {
    match reference {
        None => Wanted::Default,
        Some(name) if name.len() == HASH => Oid::from_str(name).map_or(Wanted::Named(name), Wanted::Commit),
        Some(name) => Wanted::Named(name),
    }
}

impl Inner {
    fn fetch_directory(&self, wanted: Wanted<'_>, destination: &Path) -> Result<String, Failure> {
        let repository = self.mirror.open()?;
        let remote = Remote::new(&self.location, &self.credentials);
        let revision = remote.fetch(&repository, wanted, self.mirror.reference(), None)?;
        let commit =
            commit(&repository, revision).map_err(|error| remote_error(&error, self.location.url()))?;
        let root = snapshot::root_of(&repository, commit, &self.path)?;
        export::write_directory(&repository, root, destination)?;
        Ok(commit.to_string())
    }
}

/// The commit that an annotated tag leads to, or the commit itself.
fn commit(repository: &Repository, revision: Oid) -> Result<Oid, git2::Error> {
    Ok(repository.find_object(revision, None)?.peel_to_commit()?.id())
}
