//! What all operations share: the way to the engine, and what is known of it.

use std::collections::HashMap;
use std::fs::Permissions;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use futures::TryFutureExt as _;
use homeostat_reconciler::ports::EngineEvent;
use homeostat_reconciler::{ErrorKind, ExitStatus, PortError, ResourceKey};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::connection::{ANSWER, Connection};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::names::{Instance, engine_name};
use crate::{DockerConfig, Flavour};

/// Events that a slow listener may be behind; more are made up for by one that says to look again.
const EVENTS: usize = 256;

/// Docker Engine or Podman as an engine.
///
/// Opening it asks nothing of the daemon, which may be down: every operation connects when it has to.
#[derive(Debug)]
pub struct Docker {
    pub(crate) inner: Arc<Inner>,
    watch: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) flavour: Flavour,
    pub(crate) endpoint: Endpoint,
    pub(crate) instance: Instance,
    pub(crate) ledger: Ledger,
    /// Logs of containers that were removed.
    pub(crate) logs: PathBuf,
    pub(crate) events: broadcast::Sender<EngineEvent>,
    /// The containers that are removed here, by their ids, with the codes of their last runs.
    pub(crate) removed: broadcast::Sender<(String, Option<i32>)>,
    /// Held while the network that all apps share is looked for and made: Docker makes two of one name.
    pub(crate) default_network: tokio::sync::Mutex<()>,
    connection: Mutex<Option<Arc<Connection>>>,
    version: Mutex<Option<String>>,
    cache: Mutex<Cache>,
    /// How starts failed of which the engine itself tells nothing, by container.
    failed_starts: Mutex<HashMap<String, ExitStatus>>,
    /// What the events told of the out-of-memory killer, by container.
    oom_kills: Mutex<HashMap<String, OomKills>>,
}

/// What the events told of the out-of-memory killer in a container.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OomKills {
    pub(crate) count: u64,
    pub(crate) last: Option<Timestamp>,
}

impl Docker {
    /// Prepares to use an engine, and begins to follow its events. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the endpoint is none, or the data directory cannot be used.
    pub fn open(config: &DockerConfig) -> Result<Self, PortError> {
        let endpoint =
            Endpoint::find(config.flavour, config.endpoint.as_deref(), |name| std::env::var(name).ok())?;
        let unusable = |error: std::io::Error| {
            let message = format!("{} cannot be used", config.data_directory.display());
            PortError::new(ErrorKind::Config, message).caused_by(error)
        };
        fs_err::create_dir_all(&config.data_directory).map_err(unusable)?;
        let data_directory = fs_err::canonicalize(&config.data_directory).map_err(unusable)?;
        let logs = data_directory.join("logs");
        fs_err::create_dir_all(&logs).map_err(unusable)?;
        fs_err::set_permissions(&logs, Permissions::from_mode(0o700)).map_err(unusable)?;
        let inner = Arc::new(Inner {
            flavour: config.flavour,
            endpoint,
            instance: Instance::of(&data_directory),
            ledger: Ledger::open(&data_directory)?,
            logs,
            events: broadcast::channel(EVENTS).0,
            removed: broadcast::channel(EVENTS).0,
            default_network: tokio::sync::Mutex::default(),
            connection: Mutex::default(),
            version: Mutex::default(),
            cache: Mutex::default(),
            failed_starts: Mutex::default(),
            oom_kills: Mutex::default(),
        });
        let watch = tokio::spawn(crate::events::follow(Arc::clone(&inner)));
        Ok(Self { inner, watch })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Inner {
    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the last start of a container failed, if it did.
    pub(crate) fn failed_start(&self, id: &str) -> Option<ExitStatus> {
        self.failed_starts.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Notes how a start has ended: `None` if the container runs.
    pub(crate) fn note_start(&self, id: &str, failed: Option<ExitStatus>) {
        let mut starts = self.failed_starts.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(failed) => starts.insert(id.to_owned(), failed),
            None => starts.remove(id),
        };
    }

    /// How often the out-of-memory killer struck in a container since its engine is followed, and when last: the API keeps
    /// no count.
    pub(crate) fn oom_kills(&self, id: &str) -> OomKills {
        self.oom_kills.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or_default()
    }

    /// Whether the out-of-memory killer struck in a container's run since it began, as far as events tell.
    pub(crate) fn oom_killed_since(&self, id: &str, began: Option<Timestamp>) -> bool {
        self.oom_kills(id).last.is_some_and(|last| began.is_none_or(|began| last >= began))
    }

    pub(crate) fn oom_killed(&self, id: &str, time: Timestamp) {
        let mut kills = self.oom_kills.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kills.entry(id.to_owned()).or_default();
        *known = OomKills { count: known.count + 1, last: Some(time) };
    }

    /// The engine's version, once it has told.
    pub(crate) fn version(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection, made anew if there is none. Nobody waits for somebody else's to be made: one that the engine does
    /// not answer on would hold up all.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.known_connection().as_ref() {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::open(self.flavour, &self.endpoint).await?);
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.version.clone());
        *self.known_connection() = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Forgets the connection: who listens there may be another engine by now.
    pub(crate) fn forget_connection(&self) {
        *self.known_connection() = None;
    }

    fn known_connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API, to ask something.
    pub(crate) async fn api(&self) -> Result<bollard::Docker, Failure> {
        Ok(self.connection().await?.api.clone())
    }

    /// Waits for the answer to a short question.
    pub(crate) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        self.answer_within(ANSWER, asked).await
    }

    /// Waits for an answer so long.
    pub(crate) async fn answer_within<T>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        self.hear_within(limit, asked.map_err(|error| Failure::new(error, &self.endpoint))).await
    }

    /// Waits so long for what may have failed otherwise too. After trouble with the connection the next question makes a
    /// new one: the engine may be another one by then.
    pub(crate) async fn hear_within<T>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let result = tokio::time::timeout(limit, asked)
            .await
            .unwrap_or_else(|_| Err(Failure::Silent { endpoint: self.endpoint.to_string(), after: limit }));
        if let Err(failure) = &result
            && failure.is_of_connection()
        {
            self.forget_connection();
        }
        result
    }

    /// What to call a container when asking for it.
    pub(crate) fn container_name(&self, key: &ResourceKey) -> String {
        let known = self.ledger.container_id(key).or_else(|| self.cache().container_id(key));
        known.unwrap_or_else(|| engine_name(key))
    }
}
