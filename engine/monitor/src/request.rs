//! What the monitor is asked to do. The engine writes these as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use homeostat_network::Attachment;
use homeostat_reconciler::ports::TerminalSize;
use homeostat_spec::{Confinement, Kernel, LogRotation, PublishedPort, Resources, Secret, TmpfsOptions};
use serde::{Deserialize, Deserializer, Serialize};

/// Name of the file of a [`RunRequest`] in the container's directory.
pub const REQUEST_FILE: &str = "request.json";

/// Name of the file in the container's directory that holds the [`LogRotation`] in force.
/// It wins over [`Log::rotation`]; the monitor reads it at start and on `SIGHUP`.
pub const LOG_FILE: &str = "log.json";

/// Run one container to its end: `homeostat monitor run DIRECTORY`, where `DIRECTORY` holds this
/// as [`REQUEST_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The engine's id of the container: letters, digits, `_`, `-`, `.`; at most 64 bytes.
    pub id: String,
    /// `APP/NAME`: the monitor's name in lists of processes, of which Linux keeps 15 bytes.
    pub key: String,
    /// The root file system.
    pub rootfs: Rootfs,
    /// The program.
    pub process: Process,
    /// Host name inside the container (with [`Network::Host`] too: the uts namespace is always its own).
    pub hostname: String,
    /// Mounts beside the usual ones, in any order; those nearer the root are mounted first.
    pub mounts: Vec<Mount>,
    /// The program has a terminal. `TERM` is `xterm` unless its environment says otherwise.
    #[serde(default)]
    pub terminal: bool,
    /// Its standard input is open, for who attaches.
    #[serde(default)]
    pub stdin_open: bool,
    /// What it is connected to.
    pub network: Network,
    /// Ports of the host that are held while the container runs. Only the ports are taken here, so
    /// that no other program gets them, and chosen where that is left open; traffic is led to the container by the engine's rules.
    pub ports: Vec<PublishedPort>,
    /// Names: what `/etc/resolv.conf` and `/etc/hosts` of the container say.
    pub dns: Dns,
    /// Limits at the start; changed later with [`crate::cgroup`].
    pub resources: Resources,
    /// Privileges.
    pub security: Security,
    /// What the kernel gives it beside limits of control groups.
    #[serde(default, skip_serializing_if = "Kernel::is_default")]
    pub kernel: Kernel,
    /// What keeps the programs from the host, beside their capabilities.
    #[serde(default, skip_serializing_if = "Confinement::is_default")]
    pub confinement: Confinement,
    /// An init is the first process: it starts the program, passes signals on to it, and takes in processes that nobody
    /// waits for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// The container's cgroup relative to the root of each hierarchy, as `homeostat/ID`.
    pub cgroup: PathBuf,
    /// Where the log goes.
    pub log: Log,
    /// A directory below the run directory that belongs to the OCI runtime; shared by all containers,
    /// each has a directory with its id there.
    pub runtime_dir: PathBuf,
}

/// The root file system: an overlay, or a directory with all of it, that is mounted in the monitor's own mount namespace,
/// so that it is in no mount table of the host and is gone with the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Unpacked layers, the top one first, as in the kernel's `lowerdir=`. None where `upper` has all there is.
    pub lower: Vec<PathBuf>,
    /// What the container writes. Created if absent.
    pub upper: PathBuf,
    /// Overlayfs's work directory, on the same file system as `upper`. Created if absent.
    pub work: PathBuf,
    /// The root is read-only for the container.
    pub read_only: bool,
}

/// A program to run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Program and arguments; at least the program, looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// The whole environment. `PATH` (Docker's default), `HOME` (from the image's `passwd`) and
    /// `HOSTNAME` are added where absent.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory; `/` when absent. Created if absent in the root file system.
    pub cwd: Option<String>,
    /// `UID`, `UID:GID`, `USER` or `USER:GROUP`, names looked up in the image's `/etc/passwd` and
    /// `/etc/group`; root when absent. Supplementary groups of a user come from `/etc/group`.
    pub user: Option<String>,
    /// Supplementary groups beside those.
    pub additional_gids: Vec<u32>,
    /// More of them, by name or number, names looked up in the image's `/etc/group`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A mount beside the usual ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path in the container. Created if absent; symlinks are followed within the root only.
    pub target: String,
    /// Mounted read-only, with what is mounted below it.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// An absolute path of the host that exists. Device files in it are devices.
    Path(PathBuf),
    /// As [`Path`](Self::Path), but with content that images and containers bring: device files in it are none, and
    /// it takes the place of none of the kernel's own file systems.
    Volume(PathBuf),
    /// An empty file system in memory.
    Tmpfs,
    /// The same with options.
    TmpfsWith(TmpfsOptions),
}

/// What a container is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The host's own network.
    Host,
    /// Loopback only.
    None,
    /// Bridges of the engine, at least one: the container's own name is its address on the first.
    #[serde(alias = "bridge", deserialize_with = "one_or_several")]
    Bridges(Vec<Attachment>),
}

/// Earlier versions, whose containers may still run, wrote one.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Attachment>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(Box<Attachment>),
        Several(Vec<Attachment>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(attachment) => vec![*attachment],
        Written::Several(attachments) => attachments,
    })
}

/// Names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Addresses of name servers, for `/etc/resolv.conf`.
    pub servers: Vec<IpAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Resolver options such as `ndots:0`.
    pub options: Vec<String>,
    /// Lines of `/etc/hosts` beside those of loopback and the container itself.
    pub hosts: Vec<(IpAddr, String)>,
}

/// Privileges of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Capabilities added to Docker's default set, as `CAP_NET_ADMIN` or `NET_ADMIN`; `ALL` adds every one.
    pub cap_add: Vec<String>,
    /// Capabilities removed from the default set; `ALL` removes every one that is not in `cap_add`.
    pub cap_drop: Vec<String>,
    /// The kernel's `no_new_privs` bit.
    pub no_new_privileges: bool,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Directory of the log files, see [`homeostat_log`]. Created if absent.
    pub directory: PathBuf,
    /// Rotation, unless [`LOG_FILE`] says otherwise.
    pub rotation: LogRotation,
}

/// Run one command in a root file system and wait for it: `homeostat monitor step`, with this as
/// one JSON document on stdin. The command inherits stdout and stderr; the exit code is passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Process id of the caller; the command is killed when that process ends.
    pub parent: u32,
    /// A name for the step: as [`RunRequest::id`], unique among what runs.
    pub id: String,
    /// The root file system, already mounted and writable.
    pub rootfs: PathBuf,
    /// The program.
    pub process: Process,
    /// Mounts beside the usual ones.
    pub mounts: Vec<Mount>,
    /// More variables, which stand in no file of this host.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// Host or none.
    pub network: StepNetwork,
    /// Name servers, for `/etc/resolv.conf`.
    pub dns: Dns,
    /// The step's cgroup relative to the root of each hierarchy, as `homeostat/ID`.
    pub cgroup: PathBuf,
    /// As [`RunRequest::runtime_dir`].
    pub runtime_dir: PathBuf,
}

/// What a build step is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepNetwork {
    /// The host's own network.
    Host,
    /// Loopback only.
    None,
}

/// Run one command in a running container: `homeostat monitor exec`, with this as one JSON document on stdin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// Who waits for it.
    #[serde(default)]
    pub mode: ExecMode,
    /// Process id of the caller.
    pub parent: u32,
    /// As [`RunRequest::runtime_dir`] of the container.
    pub runtime_dir: PathBuf,
    /// The container's id.
    pub id: String,
    /// The program. `user` and `additional_gids` as [`Process`] says; `env` is added to the
    /// container's own, `cwd` is the container's own when absent.
    pub process: Process,
    /// A command that the caller waits for is killed after so many milliseconds.
    pub timeout_millis: Option<u64>,
}

/// Who waits for a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecMode {
    /// The caller: the command inherits stdout and stderr, the exit code is passed on, and it is killed when the caller ends.
    #[default]
    Waiting,
    /// Who has the other end of the socket that is this process's stdout, over which frames of [`homeostat_attach`] go. When
    /// that end is closed without a word the terminal is hung up, or the command killed.
    Attached {
        /// What comes is for its standard input.
        stdin: bool,
        /// It has a terminal of this size.
        terminal: Option<TerminalSize>,
    },
    /// Nobody: a [`Report`](crate::Report) comes on stdout once the command runs, which then goes on without the caller.
    Detached {
        /// It has a terminal of this size.
        terminal: Option<TerminalSize>,
    },
}
