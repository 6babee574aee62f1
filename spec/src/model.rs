//! The compiled desired state: what the specs of one source ask for, with every
//! default filled in and every value checked.
//!
//! These types are plain data. They are what `reconciler` plans from, what the store
//! keeps as the last good revision, and (for [`ContainerConfig`]) what an engine
//! stores beside a container to compare later.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::confinement::Confinement;
use crate::endpoint::Endpoint;
use crate::kernel::Kernel;
use crate::name::Name;
use crate::names::Names;

/// One app: everything that one spec file declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The name of the spec file without its extension.
    pub name: Name,
    /// Path of the spec file within the source, for messages.
    pub file: String,
    /// Free text for people.
    pub description: Option<String>,
    /// Images that containers of this app name by their key.
    pub images: BTreeMap<Name, Image>,
    /// Containers, by name.
    pub containers: BTreeMap<Name, Container>,
    /// Named volumes, by name.
    pub volumes: BTreeMap<Name, Volume>,
    /// Networks, by name.
    pub networks: BTreeMap<Name, Network>,
}

/// Where an image of `[image.NAME]` comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// Built on this host from a Dockerfile.
    Build(Build),
    /// A reference such as `docker.io/library/postgres:16`.
    Reference(String),
}

/// How to build an image from a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The directory that is the build context.
    pub context: SourcePath,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: String,
    /// Values for the Dockerfile's `ARG` instructions.
    pub args: BTreeMap<String, String>,
    /// The stage to stop at; the last one when absent.
    pub target: Option<String>,
    /// Absolute paths of this host's files that are secrets of the build, by their ids.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Absolute paths of the sockets of agents for SSH keys, by their ids.
    #[serde(default)]
    pub ssh: BTreeMap<String, String>,
}

/// A path inside the source together with a digest of what was there at the revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePath {
    /// Path relative to the root of the source, without `.` or `..` components; empty for the root itself.
    pub path: String,
    /// Hex digest of the content (file or tree) at the compiled revision. Two equal
    /// digests mean equal names, modes, link targets and bytes.
    pub digest: String,
}

/// One container of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The image to run.
    pub image: ContainerImage,
    /// What is fixed when the container is created; a change here needs a new container
    /// (except for what [`ContainerConfig`] says can be updated in place).
    pub config: ContainerConfig,
    /// The state the container is wanted in.
    pub state: DesiredState,
    /// When an exited container is started again.
    pub restart: RestartPolicy,
    /// Containers of the same app that this one waits for before it is started.
    pub depends_on: BTreeMap<Name, DependencyCondition>,
    /// How to tell whether the container works.
    pub health: Option<HealthCheck>,
    /// How the container is stopped.
    pub stop: StopPolicy,
    /// When its image is pulled.
    #[serde(default)]
    pub pull: PullPolicy,
    /// Which container of the engine that is not homeostat's is taken over as this one, if there is one.
    #[serde(default)]
    pub adopt: Option<Adopt>,
}

/// Which resource of the engine that homeostat did not make is taken over as a declared one. It is only taken as it
/// is, without loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    /// The one with the name that homeostat itself, Compose or a person would have given it.
    ByName,
    /// The one that the engine knows under this name.
    Named(String),
    /// The one that the engine knows under one of these names, the first that is there.
    AnyOf(Vec<String>),
}

impl Adopt {
    /// The names that are written in the spec, the best first; none where they follow from what is declared.
    pub fn written(&self) -> &[String] {
        match self {
            Self::ByName => &[],
            Self::Named(name) => std::slice::from_ref(name),
            Self::AnyOf(names) => names,
        }
    }
}

/// The image of a container: one declared in the same file, or a reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerImage {
    /// An `[image.NAME]` of the same app.
    Local(Name),
    /// A reference such as `ghcr.io/acme/web:1.4`.
    Reference(String),
}

/// What an engine needs to create a container. `None` means "as the image says".
///
/// The default is a container that asks for nothing: everything as the image and this program say.
///
/// [`resources`](Self::resources) and [`log`](Self::log) can be changed on a container that
/// exists; a change of any other field needs a new container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Replaces the image's `ENTRYPOINT` (OCI `Entrypoint`).
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's `CMD` (OCI `Cmd`).
    pub command: Option<Vec<String>>,
    /// Added to the image's environment; wins over it.
    pub env: BTreeMap<String, String>,
    /// Working directory inside the container.
    pub working_dir: Option<String>,
    /// `UID`, `UID:GID`, `USER` or `USER:GROUP`, names looked up in the image.
    pub user: Option<String>,
    /// Supplementary groups, names looked up in the image, beside those that the user has there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Host name inside the container; the container's name when absent.
    pub hostname: Option<String>,
    /// Labels of the user, beside those that homeostat sets itself.
    pub labels: BTreeMap<String, String>,
    /// Ports published on the host.
    pub ports: Vec<PublishedPort>,
    /// Every other port that the image exposes is published too, each on a port that the engine chooses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub publish_all: bool,
    /// Volumes, bind mounts and tmpfs mounts.
    pub mounts: Vec<Mount>,
    /// What the container is connected to.
    pub network: NetworkMode,
    /// The networks of the app that it is on beside that one, and how it is on any of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<Name, Endpoint>,
    /// Limits; can be updated in place.
    pub resources: Resources,
    /// The root file system is mounted read-only.
    pub read_only: bool,
    /// The kernel's `no_new_privs` bit: set-uid programs gain nothing.
    pub no_new_privileges: bool,
    /// Linux capabilities added to the default set, as `CAP_NET_ADMIN`.
    pub cap_add: Vec<String>,
    /// Linux capabilities removed from the default set; `ALL` removes every one.
    pub cap_drop: Vec<String>,
    /// The program has a terminal: what it reads, and what it writes to stdout and stderr.
    #[serde(default)]
    pub tty: bool,
    /// The program's standard input stays open for whoever attaches; else there is nothing to read.
    #[serde(default)]
    pub stdin_open: bool,
    /// Rotation of the log; can be updated in place.
    pub log: LogRotation,
    /// What the kernel gives it beside limits of control groups.
    #[serde(default, skip_serializing_if = "Kernel::is_default")]
    pub kernel: Kernel,
    /// What names mean in it.
    #[serde(default, skip_serializing_if = "Names::is_default")]
    pub names: Names,
    /// What keeps its programs from the host, beside their capabilities.
    #[serde(default, skip_serializing_if = "Confinement::is_default")]
    pub confinement: Confinement,
    /// An init is its first process: it starts the program, passes signals on to it, and takes in processes that nobody
    /// waits for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
}

/// The state a spec asks for. Not declaring a container asks for its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Exists, was never started.
    Created,
    /// Runs, and is restarted as its policy says.
    Running,
    /// Started, then frozen.
    Paused,
    /// Not running. A container that never ran is started once and left to end by
    /// itself (a one-shot), again if its run was cut off, unless `restart` is `no`; one that ran
    /// under another desired state is stopped.
    Exited,
}

/// When an image is pulled, as Compose's `pull_policy`. Of several containers with one reference the last in this
/// order counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// Never: it has to be there.
    Never,
    /// When it is not there.
    #[default]
    Missing,
    /// Also when it is there, once for each revision of the source, and each time that somebody applies it.
    Always,
}

/// When an exited container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whatever its exit code was.
    Always,
    /// Only after a non-zero exit code or a signal.
    OnFailure,
    /// Never.
    No,
}

/// What has to be true of another container before this one is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DependencyCondition {
    /// It runs, or has ended as its restart policy allows.
    Started,
    /// Its health check passed.
    Healthy,
    /// It exited with code 0.
    Completed,
}

/// How to tell whether a container works. Field meanings follow Docker's `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is tried.
    pub probe: Probe,
    /// Time between the end of one probe and the start of the next.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// So many failures in a row make the container unhealthy.
    pub retries: u32,
    /// Failures in this time after the start do not count.
    pub start_period: Duration,
}

/// One way to probe a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `GET` of this path on a port of the container's own address; 200 to 399 is healthy.
    Http {
        /// Port inside the container.
        port: u16,
        /// Path and query, beginning with `/`.
        path: String,
    },
    /// A TCP connection to a port of the container's own address.
    Tcp {
        /// Port inside the container.
        port: u16,
    },
    /// A command run inside the container; exit code 0 is healthy.
    Command(Vec<String>),
}

/// How a container is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// Name of the signal, as `SIGTERM`; the image's `STOPSIGNAL` when absent, else `SIGTERM`.
    pub signal: Option<String>,
    /// Time before `SIGKILL` follows.
    pub grace: Duration,
}

/// Limits of a container. `None` means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory in bytes, swap included.
    pub memory: Option<u64>,
    /// CPU time in thousandths of a CPU.
    pub cpu_millis: Option<u32>,
    /// Number of processes and threads.
    pub pids: Option<u32>,
}

/// Rotation of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRotation {
    /// A file that would grow beyond so many bytes is rotated.
    pub max_size: u64,
    /// How many files are kept, the current one included; at least 1.
    pub max_files: u32,
}

impl Default for LogRotation {
    /// Three files of 10 MiB.
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 3 }
    }
}

/// A port of a container published on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address of the host it is published on; every one when absent.
    pub host_ip: Option<std::net::Ipv4Addr>,
    /// Port on the host; 0 where the engine chooses any that is free.
    pub host_port: u16,
    /// With it, the engine chooses a free port from [`host_port`](Self::host_port) to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

impl PublishedPort {
    /// Whether the engine chooses the port on the host, when the container starts.
    pub fn is_chosen(&self) -> bool {
        self.host_port == 0 || self.host_port_last.is_some()
    }

    /// Whether another container can have this port only when that one has not, or the other way round: the same port
    /// on the same address, or on one that the other covers. One that the engine chooses collides with none.
    pub fn collides_with(&self, other: &Self) -> bool {
        let address = |port: &Self| port.host_ip.filter(|ip| !ip.is_unspecified());
        self.protocol == other.protocol
            && self.host_port == other.host_port
            && !self.is_chosen()
            && !other.is_chosen()
            && (address(self).is_none() || address(other).is_none() || address(self) == address(other))
    }
}

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A `[volume.NAME]` of the same app.
    Volume(Name),
    /// An absolute path of the host.
    Host(String),
    /// A file or directory of the source, as it was at the revision. Always read-only.
    Source(SourcePath),
    /// An empty file system in memory, gone with the container.
    Tmpfs,
    /// The same with options.
    TmpfsWith(TmpfsOptions),
}

/// What an empty file system in memory is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsOptions {
    /// The most that it holds, in bytes; half of the memory of the host when absent.
    pub size: Option<u64>,
    /// Permissions of its root; `0o1777` when absent.
    pub mode: Option<u32>,
}

/// What a container is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The engine's default bridge.
    #[default]
    Bridge,
    /// The host's own network; nothing can be published.
    Host,
    /// Loopback only.
    None,
    /// A `[network.NAME]` of the same app.
    Named(Name),
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Never pruned when it is no longer declared (the default).
    pub retain: bool,
    /// Which volume of the engine that is not homeostat's is taken over as this one, if there is one.
    #[serde(default)]
    pub adopt: Option<Adopt>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
}

/// A bridge network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// IPv4 subnet in CIDR notation; chosen by the engine when absent.
    pub subnet: Option<String>,
    /// No way out to other networks.
    pub internal: bool,
    /// Which network of the engine that is not homeostat's is taken over as this one, if there is one.
    #[serde(default)]
    pub adopt: Option<Adopt>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
}
