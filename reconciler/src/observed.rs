//! What an engine reports now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use homeostat_spec::{ContainerConfig, Network, PublishedPort};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reference::known_as;
use crate::{ForeignContainer, ResourceKey};

/// Everything on the host that homeostat owns, and every image that containers can use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Containers that homeostat created.
    pub containers: BTreeMap<ResourceKey, ObservedContainer>,
    /// Images by reference, whoever brought them.
    pub images: BTreeMap<String, ObservedImage>,
    /// Volumes that homeostat created.
    pub volumes: BTreeSet<ResourceKey>,
    /// Networks that homeostat created.
    pub networks: BTreeMap<ResourceKey, Network>,
    /// Digests of the source's files that are written out for mounting.
    pub files: BTreeSet<String>,
    /// What the engine can do.
    #[serde(default)]
    pub abilities: Abilities,
    /// Containers that are not homeostat's and that a spec asks to adopt, by the name that the engine has for them.
    /// Their config is told as a spec would write it: what is as the image says is absent.
    #[serde(default)]
    pub foreign: BTreeMap<String, ForeignContainer>,
}

/// What an engine can do beyond what every engine can. What it cannot is refused in the plan, never ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Limits the memory of a container.
    pub memory_limit: bool,
    /// Limits the CPU time of a container.
    pub cpu_limit: bool,
    /// Limits the processes of a container.
    pub pids_limit: bool,
    /// Changes limits of a container that exists; otherwise that needs a new container.
    pub update_resources: bool,
    /// Changes the log rotation of a container that exists; otherwise that needs a new container.
    pub update_log: bool,
    /// Freezes containers.
    pub pause: bool,
    /// Mounts paths of this host: those of this process are the engine's too.
    pub host_paths: bool,
    /// Containers can be reached from this host at their addresses.
    pub addresses: bool,
    /// Gives builds secrets and agents for SSH keys, which reach no disk of it.
    pub build_secrets: bool,
}

impl Default for Abilities {
    /// Everything.
    fn default() -> Self {
        Self {
            memory_limit: true,
            cpu_limit: true,
            pids_limit: true,
            update_resources: true,
            update_log: true,
            pause: true,
            host_paths: true,
            addresses: true,
            build_secrets: true,
        }
    }
}

impl Observed {
    /// The image with this reference. Where an engine spells out what it was given (`postgres` as
    /// `docker.io/library/postgres:latest`) or knows an image by its digest alone, that finds it too.
    pub fn image(&self, reference: &str) -> Option<&ObservedImage> {
        find_image(&self.images, reference)
    }
}

/// See [`Observed::image`].
pub(crate) fn find_image<'a>(
    images: &'a BTreeMap<String, ObservedImage>,
    reference: &str,
) -> Option<&'a ObservedImage> {
    images.get(reference).or_else(|| known_as(reference).iter().find_map(|name| images.get(name)))
}

/// A container that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// The engine's own id.
    pub id: String,
    /// The reference it was created from.
    pub image: String,
    /// The id of the image it was created from.
    pub image_id: String,
    /// What it was created with, and updated to since.
    pub config: ContainerConfig,
    /// Its state.
    pub state: ContainerState,
    /// Process id of its first process in the host's pid namespace, while it runs or is paused.
    pub pid: Option<u32>,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// How its last run ended, if it has ended.
    pub exit: Option<ExitStatus>,
    /// Its address on its network, while it runs on one.
    pub address: Option<Ipv4Addr>,
    /// The ports of the host that lead to it while it runs, those that the engine has chosen among them.
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
}

impl ObservedContainer {
    /// The ports of the host that lead to it, or, while it does not run, that will once it does.
    pub fn published(&self) -> &[PublishedPort] {
        match self.state {
            ContainerState::Running | ContainerState::Paused => &self.ports,
            ContainerState::Created | ContainerState::Exited => &self.config.ports,
        }
    }
}

/// The states of a container (the OCI runtime specification's, with Docker's names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Exists and was never started.
    Created,
    /// Its first process lives.
    Running,
    /// All of its processes are frozen.
    Paused,
    /// Its first process has ended.
    Exited,
}

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Exit code as a shell gives it: 128 + n after signal n. `None` when nobody was
    /// there to learn it, as after a power cut.
    pub code: Option<i32>,
    /// The kernel's out-of-memory killer ended a process of it.
    pub oom_killed: bool,
    /// When it ended, as far as known.
    pub finished_at: Timestamp,
    /// Why it could not be run at all, if so.
    pub error: Option<String>,
}

impl ExitStatus {
    /// Whether it ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether it was cut off rather than ended by itself: by a power cut, or by a signal with which processes are
    /// ended from outside, as when the host shuts down or homeostat stops it for another revision.
    pub fn was_cut_off(&self) -> bool {
        let by_signal = |code| matches!(code, 129 | 130 | 131 | 137 | 143); // HUP, INT, QUIT, KILL, TERM
        self.error.is_none() && !self.oom_killed && self.code.is_none_or(by_signal)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, &self.error) {
            (_, Some(error)) => write!(f, "could not run: {error}")?,
            (Some(code), None) => write!(f, "exited with code {code}")?,
            (None, None) => f.write_str("ended unseen")?,
        }
        if self.oom_killed { f.write_str(", out of memory") } else { Ok(()) }
    }
}

/// An image that containers can be created from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedImage {
    /// Digest of its configuration, as `sha256:...`.
    pub id: String,
    /// Size of its layers in bytes.
    pub size: u64,
    /// What the registry called it when it was pulled under this reference, as `sha256:...`.
    #[serde(default)]
    pub digest: Option<String>,
}
