//! The engine port: whatever runs containers on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use homeostat_spec::{ContainerConfig, LogRotation, Network, Resources, Secret, Volume};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ArchiveToLoad, AttachEnd, AttachRequest, Attachment, Checked, ContainerProcess, DiskUsage,
    ExecAttachRequest, FileChange, ImageDetails, ImageRemoval, LoadedImage, PruneRequest, Pruned,
    SaveRequest, SavedArchive, StoredImage, StoredVolume, Usage,
};
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

    /// Every image that is here, also those without a name and those that are not homeostat's.
    async fn images(&self) -> Result<Vec<StoredImage>, PortError> {
        Err(not_by_hand())
    }

    /// Everything about an image, by one of its references, one of its digests, its id, or the beginning of that.
    /// Fails when there is none, or more than one.
    async fn inspect_image(&self, _name: &str) -> Result<ImageDetails, PortError> {
        Err(not_by_hand())
    }

    /// Gives an image, named as for [`inspect_image`](Engine::inspect_image), one more reference, and takes that from
    /// the image that has it.
    async fn tag_image(&self, _name: &str, _reference: &str) -> Result<(), PortError> {
        Err(not_by_hand())
    }

    /// Takes a reference away, and with the last one the image itself; by its id, the image with its only reference.
    /// Unlike [`remove_image`](Engine::remove_image) this is for people: it fails when there is no such image, when a
    /// container would lose the image it was created from, and when an id stands for several references.
    async fn delete_image(&self, _name: &str) -> Result<ImageRemoval, PortError> {
        Err(not_by_hand())
    }

    /// Sends an image to the registry that its reference names. Returns the digest that it has there. What is there
    /// already is not sent again.
    async fn push_image(&self, _reference: &str, _progress: &dyn Progress) -> Result<String, PortError> {
        Err(not_by_hand())
    }

    /// Writes images as an archive that other engines read, as a stream. Fails before it begins when an image is not
    /// here; what goes wrong later is the stream's last item.
    async fn save_images(&self, _request: &SaveRequest) -> Result<SavedArchive, PortError> {
        Err(not_by_hand())
    }

    /// Takes in the images of an archive, of this engine or another, compressed or not. All of them are here when this
    /// returns, under the names that they have in the archive, which other images lose; none after an error.
    async fn load_images(&self, _archive: ArchiveToLoad) -> Result<Vec<LoadedImage>, PortError> {
        Err(not_by_hand())
    }

    /// Removes what nobody needs, as the request says. What turns out to be in use meanwhile, or cannot be removed,
    /// stays. Repeated, it finds nothing more. Fails when it cannot be told what is needed: nothing is removed then.
    async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError>;

    /// What there is on the engine's disk. It is counted file by file, which takes its time.
    async fn disk_usage(&self) -> Result<DiskUsage, PortError>;

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

    /// Every volume of homeostat's, by key, with what it takes on the disk: slow where there is much in them.
    async fn volumes(&self) -> Result<Vec<StoredVolume>, PortError> {
        Err(not_by_hand())
    }

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

    /// Sends a signal, by its name (`SIGHUP` or `HUP`) or number, to the first process of a container that runs. A paused
    /// container gets it when it is resumed, unless it kills.
    async fn signal_container(&self, key: &ResourceKey, _signal: &str) -> Result<(), PortError> {
        Err(PortError::new(ErrorKind::User, format!("container {key} takes no signals: it is one in memory")))
    }

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

    /// Runs a command in a running container for somebody who is connected to it. It ends when that connection does, unless it
    /// was detached from. That the command cannot be run is told by the connection.
    async fn exec_attached(
        &self,
        _key: &ResourceKey,
        _request: &ExecAttachRequest,
    ) -> Result<Attachment, PortError> {
        Err(not_attachable())
    }

    /// Begins a command in a running container that nobody is connected to; returns once it runs, or with how it has ended
    /// when it cannot be run. It goes on without this process, until it ends or the container does.
    async fn exec_detached(
        &self,
        _key: &ResourceKey,
        _request: &ExecAttachRequest,
    ) -> Result<Option<AttachEnd>, PortError> {
        Err(not_attachable())
    }

    /// Connects to a running container, from now on.
    async fn attach(&self, _key: &ResourceKey, _request: &AttachRequest) -> Result<Attachment, PortError> {
        Err(not_attachable())
    }

    /// Starts a created or exited container as [`start_container`](Engine::start_container) does, connected to it before its
    /// program runs: all that it writes comes, and its end, however soon. Connects to one that runs already. That the program
    /// cannot be run is an error, or an end that says so.
    async fn start_attached(
        &self,
        _key: &ResourceKey,
        _request: &AttachRequest,
    ) -> Result<Attachment, PortError> {
        Err(not_attachable())
    }

    /// Lines of a container's log, oldest first, those of earlier containers with the same key included.
    fn logs(&self, key: &ResourceKey, query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>>;

    /// What every running or paused container uses now.
    async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, PortError>;

    /// The processes of a running or paused container, its first one and what was started in it by
    /// [`exec`](Engine::exec) included. Fails when it does not run.
    async fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, PortError> {
        Err(PortError::new(ErrorKind::User, format!("container {key} has no processes: it is one in memory")))
    }

    /// What a container has changed of its image's files, sorted by path, whether it runs or not. Its mounts are not part of it,
    /// nor are the places that the engine has made for them. What it changes meanwhile may be told or not.
    async fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, PortError> {
        Err(PortError::new(ErrorKind::User, format!("container {key} has no files: it is one in memory")))
    }

    /// Writes the files of a container as a tar archive, as a stream, whether it runs or not; without its mounts. Fails before it
    /// begins when there is no such container; what goes wrong later is the stream's last item. What the container changes
    /// meanwhile may be in it or not.
    async fn export_container(&self, key: &ResourceKey) -> Result<SavedArchive, PortError> {
        Err(PortError::new(ErrorKind::User, format!("container {key} has no files: it is one in memory")))
    }
}

/// What an engine says that has no images or volumes to be handled by hand, as one in memory.
fn not_by_hand() -> PortError {
    PortError::new(ErrorKind::User, "this engine does not do that by hand")
}

/// What an engine says that nobody can be connected to.
fn not_attachable() -> PortError {
    PortError::new(ErrorKind::User, "this engine does not connect anybody to its containers")
}

/// Which engine this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// As given to `--engine`.
    pub name: String,
    /// The engine's own version; `None` as long as it has not told.
    pub version: Option<String>,
    /// How it makes the file systems of containers, if it tells.
    pub storage: Option<EngineStorage>,
}

/// How an engine makes the file systems of containers out of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStorage {
    /// As Docker calls it: `overlayfs`, `vfs`.
    pub driver: String,
    /// Why it is not the best one, if it is not, and what that means.
    pub reason: Option<String>,
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
    /// The text of the Dockerfile, where it is no file of the context: then the path is only what messages call it.
    #[serde(default)]
    pub dockerfile_text: Option<String>,
    /// Values for `ARG`.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at.
    pub target: Option<String>,
    /// Ignore the build cache.
    pub no_cache: bool,
    /// What `RUN --mount=type=secret` shows, by id. It reaches neither the image nor anything else that stays.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of agents for SSH keys on this host, by id.
    #[serde(default)]
    pub ssh: BTreeMap<String, PathBuf>,
}

/// Is told how a build or pull goes on. Never fails and never blocks. Several steps of a build may go on at a time.
pub trait Progress: Send + Sync {
    /// A step began.
    fn step(&self, step: &ProgressStep);
    /// The result of the step with this number was taken from the cache.
    fn cached(&self, step: usize);
    /// The cache did not know the step with this number, and why, where the engine says so: it is done.
    fn missed(&self, step: usize, cause: &str);
    /// A line of output: of the step with this number, or of the whole when it is none's.
    fn output(&self, step: Option<usize>, line: &str);
}

/// A step of a build, or of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressStep {
    /// From 1. The same instruction of the same file has the same number in every build of the same target.
    pub number: usize,
    /// Of so many.
    pub total: usize,
    /// The stage that it is part of, where there are several.
    pub stage: Option<String>,
    /// The instruction.
    pub text: String,
}

impl std::fmt::Display for ProgressStep {
    /// `[2/5 STAGE] INSTRUCTION`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}/{}", self.number, self.total)?;
        if let Some(stage) = &self.stage {
            write!(f, " {stage}")?;
        }
        write!(f, "] {}", self.text)
    }
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
    /// It is for the foreground, see [`AttachRequest::foreground`]: Docker has to know when it makes a container that the end
    /// of somebody's input will be that of its own.
    pub attended: bool,
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
    /// Only lines up to this time. The tail is counted from there.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Go on with lines that are written from now on, until [`until`](Self::until) if that is given.
    pub follow: bool,
}

impl LogQuery {
    /// Whether a line of this time is wanted.
    pub fn is_within(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// How long a log is followed from `now` on: not at all, or as long as is given, which may be for ever.
    pub fn follows_for(&self, now: Timestamp) -> Option<Duration> {
        if !self.follow {
            return None;
        }
        let left = self.until.map(|until| Duration::try_from(until.duration_since(now)));
        left.map_or(Some(Duration::MAX), Result::ok)
    }
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
