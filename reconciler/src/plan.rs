//! A plan: the steps from observed to desired, as plain data.

use std::fmt;
use std::time::Duration;

use homeostat_spec::{Build, ContainerConfig, LogRotation, Name, Network, Resources, SourcePath, Volume};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerState, ExitStatus, ResourceKey, ResourceKind};

/// What to do, in which order, and what is left waiting.
///
/// Steps only refer to steps before them, so running them in order is always right; steps
/// that do not depend on each other may run at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What to do now.
    pub steps: Vec<Step>,
    /// What cannot be done now, and what would let it go on.
    pub waiting: Vec<Waiting>,
    /// What would be removed if the user allowed it. Time alone never lets it go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
}

impl Plan {
    /// Nothing to do, nothing waited for that is wanting, and nothing held back.
    pub fn is_converged(&self) -> bool {
        let all_is_there = self.waiting.iter().all(|waiting| waiting.reason.is_remark());
        self.steps.is_empty() && all_is_there && self.held.is_empty()
    }

    /// When time alone lets something go on: plan again then, even if nothing else happens.
    pub fn due(&self) -> Option<Timestamp> {
        self.waiting.iter().filter_map(|waiting| waiting.until).min()
    }

    /// The same plan for people and logs: the values of environment variables and build
    /// arguments, which may be secrets, are replaced by [`HIDDEN`].
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut plan = self.clone();
        for step in &mut plan.steps {
            let secrets = match &mut step.action {
                Action::CreateContainer { config, .. } => &mut config.env,
                Action::BuildImage { build, .. } => &mut build.args,
                _ => continue,
            };
            for value in secrets.values_mut() {
                HIDDEN.clone_into(value);
            }
        }
        plan
    }
}

/// Stands for a value that may be a secret, in plans that are shown.
pub const HIDDEN: &str = "(hidden)";

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The resource that is changed.
    pub resource: ResourceId,
    /// What is done to it.
    pub action: Action,
    /// Why. For people: nothing branches on it.
    pub cause: Cause,
    /// Indices of earlier steps that have to succeed first.
    pub after: Vec<usize>,
}

/// A resource with its kind. An image or file that no app declares is known by its reference or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceId {
    /// A resource that belongs to an app.
    Declared(ResourceKind, ResourceKey),
    /// An image by reference.
    Image(String),
    /// A file or directory of the source by digest.
    File(String),
}

impl ResourceId {
    /// The container with this key.
    pub fn container(key: &ResourceKey) -> Self {
        Self::Declared(ResourceKind::Container, key.clone())
    }

    /// The app that the resource belongs to, where it belongs to one.
    pub fn app(&self) -> Option<&Name> {
        match self {
            Self::Declared(_, key) => Some(&key.app),
            Self::Image(_) | Self::File(_) => None,
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(kind, key) => write!(f, "{kind} {key}"),
            Self::Image(reference) => write!(f, "image {reference}"),
            Self::File(digest) => write!(f, "file {digest}"),
        }
    }
}

/// What a step does. Executing one leaves no choice open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Builds an image and gives it a reference.
    BuildImage {
        /// The reference it gets.
        reference: String,
        /// How it is built.
        build: Build,
    },
    /// Brings an image here.
    PullImage {
        /// Its reference.
        reference: String,
    },
    /// Removes a reference that homeostat made and nothing needs.
    RemoveImage {
        /// The reference.
        reference: String,
    },
    /// Writes a file or directory of the source out, so that it can be mounted.
    ExportFile {
        /// Where it is in the source, and its digest.
        path: SourcePath,
    },
    /// Removes a file that was written out.
    RemoveFile {
        /// Its digest.
        digest: String,
    },
    /// Creates a volume.
    CreateVolume {
        /// As declared.
        volume: Volume,
    },
    /// Removes a volume with its content.
    RemoveVolume,
    /// Creates a network.
    CreateNetwork {
        /// As declared.
        network: Network,
    },
    /// Removes a network.
    RemoveNetwork,
    /// Creates a container.
    CreateContainer {
        /// Reference of its image.
        image: String,
        /// What it is created with.
        config: Box<ContainerConfig>,
        /// Somebody will start it, connected to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        attended: bool,
    },
    /// Takes over a container that homeostat did not make, as it is.
    AdoptContainer {
        /// The engine's id of it.
        id: String,
        /// The engine's name of it.
        name: String,
    },
    /// Starts a container.
    StartContainer,
    /// Stops a container.
    StopContainer {
        /// The signal; the image's own when `None`.
        signal: Option<String>,
        /// Time before it is killed.
        grace: Duration,
    },
    /// Freezes a container.
    PauseContainer,
    /// Thaws a container.
    ResumeContainer,
    /// Changes limits and log rotation in place.
    UpdateContainer {
        /// New limits.
        resources: Resources,
        /// New rotation.
        log: LogRotation,
    },
    /// Removes a container that does not run.
    RemoveContainer,
}

impl Action {
    /// The verb for people and for metric labels, as `create`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::BuildImage { .. } => "build",
            Self::PullImage { .. } => "pull",
            Self::ExportFile { .. } => "write",
            Self::CreateVolume { .. } | Self::CreateNetwork { .. } | Self::CreateContainer { .. } => "create",
            Self::AdoptContainer { .. } => "adopt",
            Self::StartContainer => "start",
            Self::StopContainer { .. } => "stop",
            Self::PauseContainer => "pause",
            Self::ResumeContainer => "resume",
            Self::UpdateContainer { .. } => "update",
            Self::RemoveImage { .. }
            | Self::RemoveFile { .. }
            | Self::RemoveVolume
            | Self::RemoveNetwork
            | Self::RemoveContainer => "remove",
        }
    }
}

/// Why a step is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is declared and not there.
    Missing,
    /// It is there, and its spec asks for the newest.
    Newer,
    /// It is there and no longer declared.
    NotDeclared,
    /// Nothing uses it any more.
    Unused,
    /// Fields differ from what is declared.
    Changed(Vec<FieldChange>),
    /// It is in another state than declared.
    State {
        /// As it is.
        actual: ContainerState,
        /// As declared.
        desired: homeostat_spec::DesiredState,
    },
    /// Its run ended and its restart policy says to start it again.
    Restart(ExitStatus),
    /// Its health check failed.
    Unhealthy,
    /// It ran, but not as the one-shot that others wait for.
    Awaited,
    /// Its spec takes over what is there and is not homeostat's.
    Adopt {
        /// The engine's name of it.
        name: String,
    },
    /// Somebody asked for it on this host.
    ByHand,
}

/// A field whose value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field as it is written in a spec, as `env.PORT` or `ports`.
    pub field: String,
    /// The value that is there; `None` when there is none.
    pub old: Option<String>,
    /// The value that is declared; `None` when there is none.
    pub new: Option<String>,
}

/// A resource that has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The resource.
    pub resource: ResourceId,
    /// For what it waits.
    pub reason: WaitReason,
    /// When to plan again at the latest, if time alone lets it go on.
    pub until: Option<Timestamp>,
}

/// What a resource waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// A container that it depends on is not yet as it has to be.
    Dependency {
        /// The container that is waited for.
        on: ResourceKey,
        /// What has to be true of it.
        condition: homeostat_spec::DependencyCondition,
    },
    /// Its last attempt failed; the next one comes later.
    BackOff {
        /// Failed attempts in a row.
        attempts: u32,
        /// Why the last one failed.
        message: String,
    },
    /// Another resource that it needs has to wait.
    Blocked {
        /// The resource it needs.
        by: ResourceId,
    },
    /// It runs and its first health check result is awaited.
    Health,
    /// It runs and is left to end by itself.
    Completion,
    /// It was changed again and again to no avail: after each time the same fields differed. It is
    /// left alone until its spec changes.
    Stalled {
        /// The fields that keep differing, as they are written in a spec.
        fields: Vec<String>,
    },
    /// The engine cannot do what its spec asks for. Nothing goes on until the spec changes, or the engine.
    Unsupported {
        /// What it cannot do, with the field of the spec.
        reason: String,
    },
    /// It is not here, and its spec says that it is never pulled. Nothing goes on until somebody brings it.
    NeverPulled,
    /// It is here, and its registry cannot be asked for the newest as its spec wants: it is used as it is.
    NotAsked {
        /// Why the registry cannot be asked.
        message: String,
    },
    /// Somebody keeps it in this state on this host, until it is started again.
    KeptByHand {
        /// The state.
        state: ContainerState,
    },
    /// What its spec takes over is there and cannot be had as declared without a new container. Nothing goes on until the
    /// spec or the container changes: a second one beside it might take its ports or its data.
    NotAdoptable {
        /// The engine's name of it.
        name: String,
        /// What differs, from what is there to what is declared.
        fields: Vec<FieldChange>,
    },
}

impl WaitReason {
    /// Whether nothing is wanting: it is only to be known.
    pub fn is_remark(&self) -> bool {
        matches!(self, Self::NotAsked { .. } | Self::KeptByHand { .. })
    }
}

/// A resource that would be removed if the user allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The resource.
    pub resource: ResourceId,
    /// Why it is not removed.
    pub reason: HoldReason,
}

/// Why a resource is kept that nothing declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The source has no specs at all, which is more often a mistake than a wish. See
    /// [`Desired::allow_empty`](crate::Desired::allow_empty).
    EmptySource,
}
