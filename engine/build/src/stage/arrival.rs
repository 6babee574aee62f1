//! Sources of `ADD` that come from elsewhere.

use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use homeostat_dockerfile::{Ignore, Remote, Repository};
use homeostat_files::Root;
use homeostat_image::{Digest, StagedLayer};
use homeostat_reconciler::PortError;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::StageBuild;
use crate::StepError;
use crate::copy::{Selecting, Selection, Tree, digest_of, select_exactly};
use crate::key::Key;

/// Mode of a file that came by its URL, as Docker has it.
const MODE: u32 = 0o600;

/// What a file is called whose URL has no name for it. BuildKit calls it so.
const UNNAMED: &str = "__unnamed__";

/// A source that comes from elsewhere, of which is known what it is now, and so whether the cache has what becomes of it.
pub(super) struct Arrival<'a> {
    remote: Remote<'a>,
    /// The digest of a file, or the hash of a commit.
    identity: String,
    /// When a file was changed last, if it had to be fetched to know what it is.
    modified: Option<Timestamp>,
    /// The files, once they are here.
    files: Option<Files>,
}

/// What was fetched. It goes with this value.
struct Files {
    tree: Tree,
    /// The file in the tree; empty for all of it.
    name: String,
    _staged: StagedLayer,
}

impl<'a> Arrival<'a> {
    /// Finds out what a source is now. A file without checksum has to be fetched for that.
    pub(super) fn of(
        stage: &StageBuild<'_>,
        remote: Remote<'a>,
        checksum: Option<&str>,
    ) -> Result<Self, StepError> {
        let known = |identity: String| Self { remote, identity, modified: None, files: None };
        let value = |value: &str, what| StepError::Value { value: value.to_owned(), what };
        match (remote, checksum) {
            (Remote::Url(url), None) => {
                let (files, modified) = stage.download(url)?;
                Ok(Self { remote, identity: files.digest()?, modified, files: Some(files) })
            }
            (Remote::Url(_), Some(checksum)) => match checksum.parse::<Digest>() {
                Ok(digest) => Ok(known(digest.to_string())),
                Err(_) => Err(value(checksum, "SHA-256 digest of a file")),
            },
            (Remote::Repository(repository), checksum) => match checksum.or(repository.reference) {
                Some(hash) if Repository::is_commit(hash) => Ok(known(hash.to_owned())),
                Some(other) if checksum.is_some() => Err(value(other, "hash of a commit")),
                _ => Ok(known(stage.commit_of(repository)?)),
            },
        }
    }

    pub(super) fn add_to_key(&self, key: &mut Key) {
        match self.remote {
            Remote::Url(url) => {
                let modified = self.modified.map(|time| time.to_string()).unwrap_or_default();
                key.add_all(format!("the file at {url}"), [&name_of(url), &self.identity, &modified]);
            }
            Remote::Repository(Repository { url, directory, .. }) => {
                let directory = directory.unwrap_or_default();
                key.add_all(format!("the commit of {url}"), [&self.identity, directory]);
            }
        }
    }

    /// Fetches what is not here yet, and sees that it is what the cache was asked for.
    pub(super) fn arrive(&mut self, stage: &StageBuild<'_>) -> Result<(), StepError> {
        if self.files.is_some() {
            return Ok(());
        }
        let (address, files, found) = match self.remote {
            Remote::Url(url) => {
                let files = stage.download(url)?.0;
                let digest = files.digest()?;
                (url, files, digest)
            }
            Remote::Repository(repository) => {
                let (files, commit) = stage.check_out(repository)?;
                (repository.url, files, commit)
            }
        };
        if found != self.identity {
            let expected = self.identity.clone();
            return Err(StepError::Checksum { address: address.to_owned(), expected, found });
        }
        self.files = Some(files);
        Ok(())
    }

    /// What is copied of what is here.
    pub(super) fn select(&self, how: Selecting<'_>) -> Result<Option<Selection<'_>>, StepError> {
        match &self.files {
            Some(files) => select_exactly(&files.tree, Path::new(&files.name), how),
            None => Ok(None),
        }
    }
}

impl Files {
    fn new(address: &str, directory: &Path, name: String, staged: StagedLayer) -> Result<Self, StepError> {
        let title = format!("file of {address}:");
        let root = Root::open(directory)?;
        let tree = Tree { root, ignore: Ignore::default(), title, keep_owner: false };
        Ok(Self { tree, name, _staged: staged })
    }

    fn digest(&self) -> Result<String, StepError> {
        Ok(digest_of(&self.tree, Path::new(&self.name))?.to_string())
    }
}

impl StageBuild<'_> {
    /// Brings the file at a URL here, and says when it was changed last.
    fn download(&self, url: &str) -> Result<(Files, Option<Timestamp>), StepError> {
        let build = self.build;
        let staged = build.store.begin_layer(None)?;
        let (directory, name) = (staged.upper(), name_of(url));
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(directory.join(&name))?;
        let room = build.store.free_space()?;
        let modified = build.fetcher.download(url, file.file_mut(), room, &build.cancel);
        let modified = self.fetched(url, modified)?;
        // Without a time it is of the beginning of time, for Docker too.
        file.file().set_modified(modified.map_or(SystemTime::UNIX_EPOCH, SystemTime::from))?;
        Ok((Files::new(url, &directory, name, staged)?, modified))
    }

    /// The commit that a reference of a repository names now.
    fn commit_of(&self, repository: Repository<'_>) -> Result<String, StepError> {
        self.fetched(repository.url, self.build.fetcher.commit(repository, &self.build.cancel))
    }

    /// Writes a directory of a repository out, and says of which commit.
    fn check_out(&self, repository: Repository<'_>) -> Result<(Files, String), StepError> {
        let build = self.build;
        let staged = build.store.begin_layer(None)?;
        let content = staged.upper().join("content");
        let commit = build.fetcher.check_out(repository, &staged.upper(), &content, &build.cancel);
        let commit = self.fetched(repository.url, commit)?;
        Ok((Files::new(repository.url, &content, String::new(), staged)?, commit))
    }

    fn fetched<T>(&self, address: &str, result: Result<T, PortError>) -> Result<T, StepError> {
        result.map_err(|source| {
            if self.build.cancel.is_cancelled() {
                StepError::Cancelled
            } else {
                StepError::Fetch { address: address.to_owned(), source }
            }
        })
    }
}

/// What the file at a URL is called: the last name of its path, decoded (RFC 3986, sections 2.1 and 3.3).
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path =
        rest.split(['?', '#']).next().and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    match decoded.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !matches!(name, "" | "." | "..") && !name.contains('\0') => name.to_owned(),
        _ => UNNAMED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_its_url_ends_in() {
        for (url, name) in [
            ("https://example.org/a/b.tar.gz?raw=1#top", "b.tar.gz"),
            ("https://example.org/a%20b%2Fc/", "c"),
            ("https://example.org/x/..", UNNAMED),
            ("https://example.org/%2e%2e", UNNAMED),
            ("https://example.org/a%00b", UNNAMED),
            ("https://example.org?/a", UNNAMED),
            ("https://example.org", UNNAMED),
        ] {
            assert_eq!(name_of(url), name, "{url}");
        }
    }
}
