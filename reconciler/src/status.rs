//! The status of everything, for people and scripts.

use homeostat_spec::{DesiredState, Name};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::EngineInfo;
use crate::{ContainerState, Desired, HealthStatus, Observed, Plan, Record};

/// The status of everything. `plan` is the plan made from the other three.
pub fn status(
    desired: &Desired,
    _observed: &Observed,
    _record: &Record,
    _plan: &Plan,
    engine: &EngineInfo,
) -> StatusReport {
    StatusReport { engine: engine.name.clone(), revision: desired.revision.clone(), apps: Vec::new() }
}

/// What `status -o json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The engine, as given to `--engine`.
    pub engine: String,
    /// The revision of the source.
    pub revision: String,
    /// Every app that is declared, broken or still there, by name.
    pub apps: Vec<AppStatus>,
}

/// How an app is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name.
    pub name: Name,
    /// The revision it is converged to; absent while its file is broken.
    pub revision: Option<String>,
    /// Whether all of it is as declared.
    pub synced: bool,
    /// Why it is not synced.
    pub message: Option<String>,
    /// Its containers, by name.
    pub containers: Vec<ContainerStatus>,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name within the app.
    pub name: Name,
    /// The reference of the image it was created from, or that it will be created from.
    pub image: String,
    /// The state it is wanted in.
    pub desired: ShownState,
    /// The state it is in.
    pub actual: ShownState,
    /// Its health.
    pub health: HealthStatus,
    /// Process id of its first process, while it has one.
    pub pid: Option<u32>,
    /// How often it was started again after its run had ended by itself.
    pub restarts: u64,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// What it waits for, or what went wrong last.
    pub message: Option<String>,
}

/// A container's state as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShownState {
    /// It is not there, or not declared.
    Absent,
    /// It exists and was never started.
    Created,
    /// It exited, and is started again when its back-off is over.
    Restarting,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended.
    Exited,
}

impl From<DesiredState> for ShownState {
    fn from(state: DesiredState) -> Self {
        match state {
            DesiredState::Created => Self::Created,
            DesiredState::Running => Self::Running,
            DesiredState::Paused => Self::Paused,
            DesiredState::Exited => Self::Exited,
        }
    }
}

impl From<ContainerState> for ShownState {
    fn from(state: ContainerState) -> Self {
        match state {
            ContainerState::Created => Self::Created,
            ContainerState::Running => Self::Running,
            ContainerState::Paused => Self::Paused,
            ContainerState::Exited => Self::Exited,
        }
    }
}
