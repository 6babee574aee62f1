//! The engine port: whatever runs containers on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use homeostat_spec::{ContainerConfig, LogRotation, Network, Resources, Volume};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Checked, PruneRequest, Pruned};
use crate::{ErrorKind, ForeignContainer, Observed, PortError, ResourceKey};

/// Runs containers.
///
/// # Guarantees
/// - Every operation is idempotent: asking for what is already so succeeds and changes
///   nothing (starting what runs, stopping what is not running, removing what is absent).
/// - An operation that returns an error, or that is cut off, by a crash or because it took too long, leaves the host in a
///   state that [`observe`](Engine::observe) reports truly and from which the same
///   operation can be tried again.
/// - Only what this engine created for homeostat is changed or removed.
/// - Containers outlive the process that holds the engine; their logs and exit codes are not
///   lost meanwhile.
/// - `observe` fails rather than leaving out what it cannot see.
/// - Whoever looks after every event misses nothing for good: a run that ends by itself is told of, and where events
///   got lost, [`EngineEvent::Changed`] makes up for them as soon as events come again.
///
/// # Assumptions
/// - One process at a time uses an engine for changes (the data directory's lock).
/// - Operations on different resources may run concurrently; the caller never runs two on the
///   same resource at once.
///
/// # Caveats
/// - Events are hints: they may be doubled, late, or all that is left of many. Only `observe` tells the truth. What was
///   asked for through this port need not be told of.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Name and version, for status.
    fn info(&self) -> EngineInfo;

    /// Everything that exists now. [`Observed::files`] is left empty: those are not the engine's; so is
    /// [`Observed::foreign`], see [`find_foreign`](Engine::find_foreign).
    async fn observe(&self) -> Result<Observed, PortError>;

    /// Containers that are not homeostat's, by the names that the engine has for them. Names that no such container
    /// has are left out.
    async fn find_foreign(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ForeignContainer>, PortError>;

    /// Takes over a container that is not homeostat's, by its id, as the container with this key, without stopping
    /// it or changing what it does. From then on it is homeostat's like any that it created.
    async fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError>;

    /// A stream of changes, from now on. It ends only with the engine.
    fn events(&self) -> BoxStream<'static, EngineEvent>;

    /// Builds an image and gives it the request's reference. Returns the image's id.
    /// The same inputs give the same id as long as the build cache is there.
    async fn build_image(&self, request: &BuildRequest, progress: &dyn Progress)
    -> Result<String, PortError>;

    /// Brings an image here by its reference. Returns the image's id.
    async fn pull_image(&self, reference: &str, progress: &dyn Progress) -> Result<String, PortError>;

    /// Removes a reference, and the image with what only it uses when no other reference or container needs it.
    async fn remove_image(&self, reference: &str) -> Result<(), PortError>;

    /// Removes what nobody needs, as the request says. What turns out to be in use meanwhile, or cannot be removed,
    /// stays. Repeated, it finds nothing more. Fails when it cannot be told what is needed: nothing is removed then.
    async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError>;

    /// Compares what is on disk with what it should be. With `repair`, what can be mended is mended, and what cannot is
    /// removed so that it is pulled or built again; volumes and what containers have written are never touched. Damage
    /// is no error, but a finding. An engine whose files are not homeostat's refuses.
    async fn check(&self, repair: bool) -> Result<Checked, PortError> {
        let _ = repair;
        let message = format!("{} keeps its files itself: homeostat cannot check them", self.info().name);
        let hint = "only what the embedded engine keeps can be checked";
        Err(PortError::new(ErrorKind::User, message).with_hint(hint))
    }

    /// Creates a volume, or takes over the one that is not homeostat's and that [`Volume::adopt`] means.
    async fn create_volume(&self, key: &ResourceKey, volume: &Volume) -> Result<(), PortError>;

    /// Removes a volume and its content. Fails while a container uses it.
    async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Creates a network, or takes over the one that is not homeostat's and that [`Network::adopt`] means, if it is
    /// as declared.
    async fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), PortError>;

    /// Removes a network. Fails while a container uses it.
    async fn remove_network(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Creates a container, without starting it. Fails if one with this key exists that was created from something else.
    async fn create_container(&self, request: &ContainerRequest) -> Result<(), PortError>;

    /// Starts a created or exited container and returns once its process runs.
    async fn start_container(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Sends the signal (the image's own, else `SIGTERM`, when `None`), waits for up to
    /// `grace`, then kills; returns once the container has exited. A paused container is resumed first.
    async fn stop_container(
        &self,
        key: &ResourceKey,
        signal: Option<&str>,
        grace: Duration,
    ) -> Result<(), PortError>;

    /// Freezes every process of a running container.
    async fn pause_container(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Thaws a paused container.
    async fn resume_container(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Changes limits and log rotation in place.
    async fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
        log: &LogRotation,
    ) -> Result<(), PortError>;

    /// Removes a container that does not run. Its named volumes and its logs stay.
    async fn remove_container(&self, key: &ResourceKey) -> Result<(), PortError>;

    /// Runs a command in a running container and returns when it has ended or the timeout has passed (then it is killed).
    async fn exec(&self, key: &ResourceKey, request: &ExecRequest) -> Result<ExecOutcome, PortError>;

    /// Lines of a container's log, oldest first, those of earlier containers with the same key included.
    fn logs(&self, key: &ResourceKey, query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>>;

    /// What every running or paused container uses now.
    async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, PortError>;
}

/// Which engine this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// As given to `--engine`.
    pub name: String,
    /// The engine's own version; `None` as long as it has not told.
    pub version: Option<String>,
}

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEvent {
    /// A container's run ended.
    ContainerExited(ResourceKey),
    /// Anything else, or events were lost: look again.
    Changed,
}

/// Builds one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// The reference that the image gets.
    pub reference: String,
    /// The build context on disk. Not changed by the build.
    pub context: PathBuf,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: String,
    /// Values for `ARG`.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Ignore the build cache.
    pub no_cache: bool,
}

/// Is told how a build or pull goes on. Never fails and never blocks.
pub trait Progress: Send + Sync {
    /// A step began: `number` of `total`, and the instruction's text.
    fn step(&self, number: usize, total: usize, text: &str);
    /// The step's result was taken from the cache.
    fn cached(&self);
    /// A line of output of the current step.
    fn output(&self, line: &str);
}

/// Creates one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRequest {
    /// The container.
    pub key: ResourceKey,
    /// Reference of an image that is here.
    pub image: String,
    /// Everything else.
    pub config: ContainerConfig,
    /// The directory where each file or directory of the source that the config mounts lies under its digest.
    pub files: PathBuf,
}

/// Runs a command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a command in a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutcome {
    /// Exit code; `None` when the timeout passed.
    pub code: Option<i32>,
    /// The last 64 KiB of what it wrote to stdout and stderr.
    pub output: String,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only so many lines from the end.
    pub tail: Option<usize>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Go on with lines that are written from now on.
    pub follow: bool,
}

/// One line of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// Where it was written to.
    pub stream: LogStream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Where a container writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a container uses now, from its cgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in all, in seconds and nanoseconds.
    pub cpu: Duration,
    /// Memory without inactive page cache, in bytes, as cAdvisor's working set.
    pub memory_working_set: u64,
    /// Memory with page cache, in bytes.
    pub memory_usage: u64,
    /// The memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// How often the out-of-memory killer struck.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
}
