//! Asking a remote for the head of a branch, and for the objects if it moved.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use fs_err as fs;
use git2::cert::Cert;
use git2::{
    AutotagOption, CertificateCheckStatus, Direction, Error, ErrorClass, ErrorCode, FetchOptions, Oid,
    ProxyOptions, Reference, Remote as GitRemote, RemoteCallbacks, RemoteConnection, RemoteRedirect,
    Repository,
};
use homeostat_reconciler::{ErrorKind, PortError};

use super::Credentials;
use super::credentials::Answers;
use super::error::{Failure, remote as remote_error, while_fetching};
use super::known_hosts::{Verdict, judge};
use super::local;
use super::location::{Location, Transport};
use crate::limits;

/// How long one fetch may take, however slowly bytes come.
const LONGEST: Duration = Duration::from_hours(1);

/// How many branches are named when the wanted one is not there.
const NAMED: usize = 5;

const HEADS: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// Where all branches and tags go, when all have to be had.
const ALL: &str = "refs/all/";

/// What of a repository is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// The default branch: that of its `HEAD`.
    Default,
    /// A branch.
    Branch(&'a str),
    /// A branch, else a tag.
    Named(&'a str),
    /// A commit, whatever leads to it.
    Commit(Oid),
}

/// The repository elsewhere.
pub(super) struct Remote<'a> {
    location: &'a Location,
    credentials: &'a Credentials,
    /// Why the host key was refused; libgit2 replaces it with words of its own.
    refusal: RefCell<Option<Error>>,
}

impl<'a> Remote<'a> {
    pub(super) fn new(location: &'a Location, credentials: &'a Credentials) -> Self {
        Self { location, credentials, refusal: RefCell::default() }
    }

    /// Brings what is wanted to `reference`, and gives it. Asks for nothing more when it is the known one.
    pub(super) fn fetch(
        &self,
        repository: &Repository,
        wanted: Wanted<'_>,
        reference: &str,
        known: Option<Oid>,
    ) -> Result<Oid, Failure> {
        let failed = |error| while_fetching(self.refusal.take().unwrap_or(error), self.location.url());
        let mut remote = repository.remote_anonymous(self.location.url()).map_err(failed)?;
        let mut connection =
            remote.connect_auth(Direction::Fetch, Some(self.callbacks()), Some(proxy())).map_err(failed)?;
        let (head, revision) = self.head(&connection, wanted)?;
        if known == Some(revision) {
            repository.find_commit(revision).and_then(|commit| commit.tree()).map_err(Failure::Mirror)?;
            return Ok(revision);
        }
        if let Some(path) = self.location.path() {
            // Here it is known whose fault an error is: the mirror is only written to.
            local::copy(path, repository, revision, reference)
                .map_err(|error| remote_error(&error, self.location.url()))?;
            return Ok(revision);
        }
        let refspec = format!("+{head}:{reference}");
        match self.download(connection.remote(), &refspec) {
            Err(error) if matches!(wanted, Wanted::Commit(_)) && is_refusal(&error) => {
                self.fetch_all(repository, connection.remote(), revision, reference)?;
            }
            result => result.map_err(failed)?,
        }
        repository.refname_to_id(reference).map_err(Failure::Mirror)
    }

    /// The commit of what is wanted, of which nothing is fetched.
    pub(super) fn find(&self, wanted: Wanted<'_>) -> Result<Oid, Failure> {
        let failed = |error| while_fetching(self.refusal.take().unwrap_or(error), self.location.url());
        let mut remote = GitRemote::create_detached(self.location.url()).map_err(failed)?;
        let connection =
            remote.connect_auth(Direction::Fetch, Some(self.callbacks()), Some(proxy())).map_err(failed)?;
        Ok(self.head(&connection, wanted)?.1)
    }

    /// Fetches all branches and tags with their history, in which a commit is to be.
    fn fetch_all(
        &self,
        repository: &Repository,
        remote: &mut GitRemote<'_>,
        revision: Oid,
        reference: &str,
    ) -> Result<(), Failure> {
        let refspecs = [&format!("+{HEADS}*:{ALL}heads/*"), &format!("+{TAGS}*:{ALL}tags/*")];
        remote
            .fetch(&refspecs, Some(&mut self.options(false)), None)
            .map_err(|error| while_fetching(error, self.location.url()))?;
        let found = repository
            .find_commit(revision)
            .and_then(|_| repository.reference(reference, revision, true, "fetch"));
        found.map(drop).map_err(|error| match error.code() {
            ErrorCode::NotFound => self.no_commit(revision).into(),
            _ => Failure::Mirror(error),
        })
    }

    fn no_commit(&self, revision: Oid) -> PortError {
        let url = self.location.url();
        PortError::new(ErrorKind::User, format!("{url} has no commit {revision} in a branch or a tag"))
            .with_hint("push a branch or a tag that has it in its history")
    }

    /// The full name and the commit of what is wanted.
    fn head(
        &self,
        connection: &RemoteConnection<'_, '_, '_>,
        wanted: Wanted<'_>,
    ) -> Result<(String, Oid), Failure> {
        let heads = connection.list().map_err(|error| while_fetching(error, self.location.url()))?;
        let names = match wanted {
            Wanted::Branch(name) => vec![format!("{HEADS}{name}")],
            Wanted::Named(name) => vec![format!("{HEADS}{name}"), format!("{TAGS}{name}")],
            Wanted::Default => vec![self.default_branch(connection, heads.is_empty())?],
            Wanted::Commit(commit) => return Ok((commit.to_string(), commit)),
        };
        for name in &names {
            let find = |name: &str| heads.iter().find(|head| head.name() == name);
            // An annotated tag is an object of its own, and what it names is told beside it (gitprotocol-pack(5)).
            if let Some(head) = find(&format!("{name}^{{}}")).or_else(|| find(name)) {
                return Ok((name.clone(), head.oid()));
            }
        }
        let branches = heads.iter().filter_map(|head| head.name().strip_prefix(HEADS));
        Err(self.no_branch(&names[0], &branches.collect::<Vec<_>>()).into())
    }

    fn default_branch(
        &self,
        connection: &RemoteConnection<'_, '_, '_>,
        empty: bool,
    ) -> Result<String, PortError> {
        let name = connection.default_branch().ok().and_then(|name| name.as_str().ok().map(str::to_owned));
        // It becomes part of a refspec, and it is the server that says it.
        name.filter(|name| name.starts_with(HEADS) && Reference::is_valid_name(name))
            .ok_or_else(|| self.no_default(empty))
    }

    fn no_default(&self, empty: bool) -> PortError {
        let url = self.location.url();
        if empty {
            return PortError::new(ErrorKind::User, format!("{url} has no commits yet"))
                .with_hint("push a branch with the spec files");
        }
        PortError::new(ErrorKind::User, format!("{url} has no default branch"))
            .with_hint("name one with --branch")
    }

    fn no_branch(&self, wanted: &str, names: &[&str]) -> PortError {
        let (url, branch) = (self.location.url(), wanted.trim_start_matches(HEADS));
        let error = PortError::new(ErrorKind::User, format!("{url} has no branch {branch}"));
        if names.is_empty() {
            return error.with_hint("push it; the repository has no branches yet");
        }
        let more = if names.len() > NAMED { ", ..." } else { "" };
        error.with_hint(format!("it has {}{more}", names[..names.len().min(NAMED)].join(", ")))
    }

    fn download(&self, remote: &mut GitRemote<'_>, refspec: &str) -> Result<(), Error> {
        match remote.fetch(&[refspec], Some(&mut self.options(true)), None) {
            // Where the server cannot cut the history short, all of it comes.
            Err(error) if error.message().contains("shallow") => {
                remote.fetch(&[refspec], Some(&mut self.options(false)), None)
            }
            result => result,
        }
    }

    fn options(&self, shallow: bool) -> FetchOptions<'_> {
        let mut options = FetchOptions::new();
        options.remote_callbacks(self.callbacks()).proxy_options(proxy());
        options.download_tags(AutotagOption::None).update_fetchhead(false);
        options.follow_redirects(RemoteRedirect::Initial);
        if shallow {
            options.depth(1);
        }
        options
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        let mut answers = Answers::new(self.location, self.credentials);
        callbacks.credentials(move |url, _user, accepted| answers.next(url, accepted));
        callbacks.certificate_check(|cert, _host| self.check_certificate(cert));
        let started = Instant::now();
        callbacks.transfer_progress(move |progress| {
            progress.received_bytes() < limits::FETCH_BYTES && started.elapsed() < LONGEST
        });
        callbacks
    }

    /// TLS is left to what OpenSSL found. A host key must be known: there is nobody to ask.
    fn check_certificate(&self, cert: &Cert<'_>) -> Result<CertificateCheckStatus, Error> {
        if self.location.transport() != Transport::Ssh {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        }
        let key = cert.as_hostkey().and_then(|key| key.hostkey()).unwrap_or_default();
        let known: String = self
            .credentials
            .known_hosts_files()
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .collect();
        let (host, port) = (self.location.host(), self.location.port());
        let message = match judge(&known, host, port, key) {
            Verdict::Known => return Ok(CertificateCheckStatus::CertificateOk),
            Verdict::Changed => "shows a host key that is not among its known ones",
            Verdict::Revoked => "shows a host key that is revoked",
            Verdict::Unknown => "is not in known_hosts",
        };
        let refusal =
            || Error::new(ErrorCode::Certificate, ErrorClass::Ssh, format!("{host} (port {port}) {message}"));
        self.refusal.replace(Some(refusal()));
        Err(refusal())
    }
}

/// Whether a server does not give out a commit by its hash: because it gives none out so (gitprotocol-capabilities(5),
/// `allow-reachable-sha1-in-want`), or because it has none of this.
fn is_refusal(error: &Error) -> bool {
    let says = |text| error.message().contains(text);
    says("cannot fetch a specific object") || says("not our ref") || says("unexpected packet type")
}

/// As the environment and git's configuration say.
fn proxy() -> ProxyOptions<'static> {
    let mut options = ProxyOptions::new();
    options.auto();
    options
}
