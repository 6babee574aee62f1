//! A branch of a git repository.

mod credentials;
mod error;
mod export;
mod fetch;
mod known_hosts;
mod local;
mod location;
mod mirror;
mod once;
mod settings;
mod snapshot;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use git2::Oid;
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SourcePath;
use tracing::warn;

use error::Failure;
use fetch::Wanted;
use mirror::Mirror;

pub use credentials::Credentials;
pub(crate) use location::{Location, is_helper};
pub use once::{commit_of, fetch_directory};
pub use settings::initialize;

/// The shortest poll interval; a shorter one is taken for this.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Which repository, and how to reach it.
#[derive(Debug, Clone)]
pub struct GitConfig {
    /// A URL (`https://`, `ssh://`, `file://`), git's `user@host:path`, or a path of this host. A user and
    /// password in an `https://` URL are taken as credentials, unless [`credentials`](Self::credentials) has its own.
    pub url: String,
    /// The branch; the repository's default one (its `HEAD`) when absent.
    pub branch: Option<String>,
    /// The directory within the repository that is the source; its root when absent.
    pub path: Option<String>,
    /// How often the branch may have changed.
    pub interval: Duration,
    /// Where the bare mirror is kept. Created when missing; nothing else may use it.
    pub mirror_directory: PathBuf,
    /// How to prove who one is to the server, and how the server does.
    pub credentials: Credentials,
}

/// A branch of a git repository as a source.
///
/// # Guarantees
/// - A poll of an unchanged branch asks for its head only and writes nothing.
/// - No hook, filter or other program of the repository or of a host's git runs.
/// - A mirror that a power cut broke is moved aside and fetched anew.
/// - What was fetched last can be read and exported without network.
///
/// # Assumptions
/// - One process at a time uses the mirror (the data directory's lock).
///
/// # Caveats
/// - Submodules and Git LFS are not resolved.
pub struct GitSource {
    inner: Arc<Inner>,
    interval: Duration,
}

struct Inner {
    location: Location,
    credentials: Credentials,
    branch: Option<String>,
    path: String,
    mirror: Mirror,
    /// An object could not be read: check the mirror before the next snapshot.
    suspect: AtomicBool,
    /// One fetch at a time.
    fetching: Mutex<()>,
}

impl GitSource {
    /// A source for this repository. Does not touch network or disk.
    ///
    /// # Errors
    /// Of kind `Config` for a URL that is malformed or of a scheme that is not accepted, and of kind `User` for
    /// a branch or path that cannot be one.
    pub fn new(config: GitConfig) -> Result<Self, PortError> {
        initialize();
        let location = Location::parse(&config.url)?;
        let credentials = config.credentials.or(location.credentials());
        check_branch(config.branch.as_deref())?;
        let path = source_path(config.path.as_deref())?;
        let mirror = Mirror::new(config.mirror_directory, location.url(), config.branch.as_deref());
        let inner = Inner {
            location,
            credentials,
            branch: config.branch,
            path,
            mirror,
            suspect: AtomicBool::new(false),
            fetching: Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner), interval: config.interval.max(SHORTEST_INTERVAL) })
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GitSource").field(&self.describe()).finish()
    }
}

#[async_trait]
impl Source for GitSource {
    fn describe(&self) -> String {
        self.inner.location.url().to_owned()
    }

    async fn snapshot(&self) -> Result<Snapshot, PortError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.refresh()).await
    }

    async fn last_snapshot(&self) -> Option<Snapshot> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.last_snapshot()).await.ok().flatten()
    }

    async fn export(
        &self,
        snapshot: &Snapshot,
        path: &SourcePath,
        destination: &Path,
    ) -> Result<(), PortError> {
        let (inner, path, destination) = (Arc::clone(&self.inner), path.clone(), destination.to_owned());
        let revision = snapshot.revision.clone();
        blocking(move || inner.export(&revision, &path, &destination)).await
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let interval = self.interval;
        stream::unfold((), move |()| async move {
            tokio::time::sleep(jittered(interval)).await;
            Some(((), ()))
        })
        .boxed()
    }
}

impl Inner {
    fn refresh(&self) -> Result<Snapshot, PortError> {
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        match self.try_refresh() {
            Ok(snapshot) => Ok(snapshot),
            Err(Failure::Port(error)) => Err(error),
            Err(Failure::Mirror(error)) => {
                warn!("the mirror of {} is broken and is fetched anew: {error}", self.location.url());
                self.mirror.move_aside()?;
                self.try_refresh().map_err(|failure| failure.into_port(self.location.url()))
            }
        }
    }

    fn try_refresh(&self) -> Result<Snapshot, Failure> {
        let repository = self.mirror.open()?;
        let known = self.mirror.revision(&repository)?;
        let remote = fetch::Remote::new(&self.location, &self.credentials);
        let wanted = self.branch.as_deref().map_or(Wanted::Default, Wanted::Branch);
        let fetched = remote.fetch(&repository, wanted, self.mirror.reference(), known);
        let revision = fetched.map_err(|failure| self.blame(&repository, known, failure))?;
        if self.suspect.swap(false, Ordering::Relaxed) {
            mirror::check(&repository, revision)?;
        }
        self.mirror.compact(&repository, revision);
        snapshot::read(&repository, revision, &self.path)
    }

    /// A fetch fails strangely where the mirror is broken, and where the server is. Only a look at the mirror tells which.
    fn blame(&self, repository: &git2::Repository, known: Option<Oid>, failure: Failure) -> Failure {
        match (failure, known) {
            (Failure::Mirror(error), Some(known)) => match mirror::check(repository, known) {
                Ok(()) => Failure::Port(error::remote(&error, self.location.url())),
                Err(broken) => broken,
            },
            (Failure::Mirror(error), None) => Failure::Port(error::remote(&error, self.location.url())),
            (failure, _) => failure,
        }
    }

    fn last_snapshot(&self) -> Option<Snapshot> {
        if !self.mirror.exists() {
            return None;
        }
        let repository = self.mirror.open().ok()?;
        let revision = self.mirror.revision(&repository).ok()??;
        snapshot::read(&repository, revision, &self.path).ok()
    }

    fn export(&self, revision: &str, path: &SourcePath, destination: &Path) -> Result<(), PortError> {
        let result = self.mirror.open().and_then(|repository| {
            let root = snapshot::root(&repository, revision, &self.path)?;
            export::export(&repository, root, path, destination)
        });
        result.map_err(|failure| {
            if matches!(failure, Failure::Mirror(_)) {
                self.suspect.store(true, Ordering::Relaxed);
            }
            failure.into_port(self.location.url())
        })
    }
}

/// The name of a branch becomes part of a refspec: what git does not take for a name must not get there.
fn check_branch(branch: Option<&str>) -> Result<(), PortError> {
    match branch {
        Some(name) if !git2::Branch::name_is_valid(name).unwrap_or(false) || name.contains('*') => {
            Err(PortError::new(ErrorKind::User, format!("{name:?} cannot be the name of a branch"))
                .with_hint("name the branch alone, as main, without refs/heads/ or a remote"))
        }
        _ => Ok(()),
    }
}

/// The directory within the repository, without `.` and surplus slashes; empty for the root.
fn source_path(path: Option<&str>) -> Result<String, PortError> {
    let components: Vec<_> =
        path.unwrap_or_default().split('/').filter(|component| !matches!(*component, "" | ".")).collect();
    if components.contains(&"..") {
        return Err(PortError::new(ErrorKind::User, "the path leaves the repository")
            .with_hint("name a directory of the repository, relative to its root"));
    }
    Ok(components.join("/"))
}

/// The interval, one tenth more or less, so that a fleet that was switched on together does not ask together.
fn jittered(interval: Duration) -> Duration {
    // Without randomness there is only no jitter.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    interval.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(PortError::new(ErrorKind::Internal, "reading the source panicked").caused_by(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_at_most_a_tenth() {
        for _ in 0..1000 {
            let interval = jittered(Duration::from_mins(1));
            assert!(
                interval >= Duration::from_secs(54) && interval <= Duration::from_secs(66),
                "{interval:?}"
            );
        }
    }

    #[test]
    fn paths_within_a_repository_are_made_plain() {
        assert_eq!(source_path(None).unwrap(), "");
        assert_eq!(source_path(Some("/")).unwrap(), "");
        assert_eq!(source_path(Some("./fleet//edge/")).unwrap(), "fleet/edge");
        assert_eq!(source_path(Some("fleet/../..")).unwrap_err().kind, ErrorKind::User);
    }

    #[test]
    fn branches_that_are_no_names_are_refused() {
        assert!(check_branch(Some("release/1.x")).is_ok());
        for name in ["", "a b", "a:b", "-x", "a..b", "*", "a/*", "+a", "^a"] {
            // A leading + is legal in a name, and is the refspec's sign only in front of the whole.
            if name != "+a" {
                assert!(check_branch(Some(name)).is_err(), "{name}");
            }
        }
    }
}
