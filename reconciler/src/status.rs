//! The status of everything, for people and scripts.

use std::collections::BTreeSet;
use std::fmt;

use homeostat_spec::{DesiredState, Name, PublishedPort};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::{EngineInfo, EngineStorage, Event, EventKind};
use crate::{
    ContainerRecord, ContainerState, Desired, ExitStatus, HealthStatus, Observed, ObservedContainer, Plan,
    Record, ResourceId, ResourceKey, WaitReason, Waiting,
};

/// The status of everything. `plan` is the plan made from the other three.
pub fn status(
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    plan: &Plan,
    engine: &EngineInfo,
) -> StatusReport {
    let names: BTreeSet<&Name> = desired
        .apps
        .keys()
        .chain(desired.broken.keys())
        .chain(observed.containers.keys().map(|key| &key.app))
        .collect();
    let view = View { desired, observed, record, plan };
    StatusReport {
        engine: engine.name.clone(),
        engine_version: engine.version.clone(),
        engine_storage: engine.storage.clone(),
        revision: desired.revision.clone(),
        apps: names.into_iter().map(|name| view.app(name)).collect(),
    }
}

/// The state in which a container is shown: what the engine reports, and whether it is started again.
pub fn shown_state(key: &ResourceKey, observed: &Observed, plan: &Plan) -> ShownState {
    match observed.containers.get(key).map(|actual| actual.state) {
        None => ShownState::Absent,
        Some(ContainerState::Exited) if restart(key, plan).is_some() => ShownState::Restarting,
        Some(state) => state.into(),
    }
}

/// What says that a container waits for its next start.
fn restart<'a>(key: &ResourceKey, plan: &'a Plan) -> Option<&'a Waiting> {
    let resource = ResourceId::container(key);
    let waiting = plan.waiting.iter().find(|waiting| waiting.resource == resource)?;
    matches!(waiting.reason, WaitReason::BackOff { .. }).then_some(waiting)
}

/// An event for every container that is restarting and was not when it was looked at before.
pub fn restarts(before: (&Observed, &Plan), after: (&Observed, &Plan), now: Timestamp) -> Vec<Event> {
    let is_known = |key: &ResourceKey, exit: Option<&ExitStatus>| {
        let known = before.0.containers.get(key).and_then(|container| container.exit.as_ref());
        known == exit && restart(key, before.1).is_some()
    };
    let event = |(key, container): (&ResourceKey, &ObservedContainer)| {
        if shown_state(key, after.0, after.1) != ShownState::Restarting
            || is_known(key, container.exit.as_ref())
        {
            return None;
        }
        let until = restart(key, after.1)?.until;
        let message =
            until.map_or_else(|| "is started again".to_owned(), |at| format!("is started again at {at:.0}"));
        Some(Event { time: now, kind: EventKind::Restarting, resource: Some(key.clone()), message })
    };
    after.0.containers.iter().filter_map(event).collect()
}

struct View<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    record: &'a Record,
    plan: &'a Plan,
}

impl View<'_> {
    fn app(&self, name: &Name) -> AppStatus {
        let broken = self.desired.broken.get(name).cloned();
        let message = broken.clone().or_else(|| self.unsettled(name));
        let declared = self.desired.apps.get(name).into_iter().flat_map(|app| app.containers.keys());
        let actual = self.observed.containers.keys().filter(|key| key.app == *name).map(|key| &key.name);
        let containers: BTreeSet<&Name> = declared.chain(actual).collect();
        AppStatus {
            name: name.clone(),
            revision: broken.is_none().then(|| self.desired.revision.clone()),
            synced: message.is_none(),
            message,
            containers: containers
                .into_iter()
                .map(|container| self.container(&ResourceKey::new(name.clone(), container.clone())))
                .collect(),
        }
    }

    /// The first thing of an app that is not as declared.
    fn unsettled(&self, app: &Name) -> Option<String> {
        let of_app = |resource: &ResourceId| resource.app() == Some(app);
        let mut waiting = self.plan.waiting.iter().filter(|waiting| !waiting.reason.is_remark());
        let waiting = waiting.find(|waiting| of_app(&waiting.resource));
        let step = self.plan.steps.iter().find(|step| of_app(&step.resource));
        let held = self.plan.held.iter().find(|held| of_app(&held.resource));
        waiting
            .map(|waiting| format!("{}: {}", waiting.resource, self.explain(waiting)))
            .or_else(|| step.map(|step| format!("pending: {step}")))
            .or_else(|| held.map(|held| format!("{}: {}", held.resource, held.reason)))
    }

    fn container(&self, key: &ResourceKey) -> ContainerStatus {
        let resource = ResourceId::container(key);
        let declared = self.desired.container(key);
        let actual = self.observed.containers.get(key);
        let known = self.record.containers.get(key).cloned().unwrap_or_default();
        let waiting = self.plan.waiting.iter().find(|waiting| waiting.resource == resource);
        let alive = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
        let is_alive = actual.is_some_and(|actual| alive(actual.state));
        let shown = shown_state(key, self.observed, self.plan);
        ContainerStatus {
            name: key.name.clone(),
            image: actual
                .map(|actual| actual.image.clone())
                .or_else(|| self.desired.image_of(key))
                .unwrap_or_default(),
            image_id: actual.map(|actual| actual.image_id.clone()),
            image_digest: actual.and_then(|actual| self.digest(actual)),
            desired: declared.map_or(ShownState::Absent, |container| container.state.into()),
            actual: shown,
            health: if is_alive { known.health.status } else { HealthStatus::None },
            pid: actual.and_then(|actual| actual.pid),
            restarts: known.restarts,
            started_at: actual.and_then(|actual| actual.started_at),
            exit_code: actual.and_then(|actual| actual.exit.as_ref()?.code),
            ports: actual.map(|actual| actual.published().to_vec()).unwrap_or_default(),
            message: waiting
                .map(|waiting| self.explain(waiting))
                .or_else(|| self.pending(&resource))
                .or_else(|| self.not_asked(key))
                .or_else(|| actual.and_then(|actual| remark(actual, &known))),
        }
    }

    /// The digest at the registry of the image that a container was created from, also if its reference has moved on.
    fn digest(&self, container: &ObservedContainer) -> Option<String> {
        let of_reference = self.observed.image(&container.image).into_iter();
        let images = of_reference.chain(self.observed.images.values());
        images.filter(|image| image.id == container.image_id).find_map(|image| image.digest.clone())
    }

    /// Why it may not be known whether its image is the newest.
    fn not_asked(&self, key: &ResourceKey) -> Option<String> {
        let image = ResourceId::Image(self.desired.image_of(key)?);
        let remark = self.plan.waiting.iter().find(|waiting| waiting.resource == image)?;
        remark.reason.is_remark().then(|| format!("{image} {}", remark.reason))
    }

    fn pending(&self, resource: &ResourceId) -> Option<String> {
        let step = self.plan.steps.iter().find(|step| step.resource == *resource)?;
        Some(format!("pending: {}: {}", step.action.verb(), step.cause))
    }

    /// What a resource waits for, down to the error at the root of it and what to do about that.
    fn explain(&self, waiting: &Waiting) -> String {
        let mut text = waiting.reason.to_string();
        let mut culprit = &waiting.resource;
        if let WaitReason::Blocked { by } = &waiting.reason {
            culprit = by;
            let its_own = self.plan.waiting.iter().find(|waiting| waiting.resource == *by);
            if let Some(its_own) = its_own {
                text = format!("{text}, which {}", its_own.reason);
            }
        }
        let hint = self.record.failures.get(culprit).and_then(|failure| failure.hint.as_ref());
        hint.map_or(text.clone(), |hint| format!("{text} (hint: {hint})"))
    }
}

/// What is worth knowing of a container that is left as it is.
fn remark(actual: &ObservedContainer, known: &ContainerRecord) -> Option<String> {
    match actual.state {
        ContainerState::Exited => {
            actual.exit.as_ref().filter(|exit| !exit.success()).map(ToString::to_string)
        }
        _ if known.health.status == HealthStatus::Unhealthy => known.health.message.clone(),
        _ => None,
    }
}

/// What `status -o json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The engine, as given to `--engine`.
    pub engine: String,
    /// The engine's own version; absent as long as it has not told.
    pub engine_version: Option<String>,
    /// How it makes the file systems of containers; absent where it does not tell.
    pub engine_storage: Option<EngineStorage>,
    /// The revision of the source.
    pub revision: String,
    /// Every app that is declared, broken or still there, by name.
    pub apps: Vec<AppStatus>,
}

impl StatusReport {
    /// The same of an engine that was not seen yet: what it runs is not known.
    #[must_use]
    pub fn unseen(mut self) -> Self {
        for app in &mut self.apps {
            app.synced = false;
            app.message.get_or_insert_with(|| "the engine was not seen yet".to_owned());
            for container in &mut app.containers {
                container.actual = ShownState::Unknown;
            }
        }
        self
    }
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
    /// The id of the image that it was created from.
    #[serde(default)]
    pub image_id: Option<String>,
    /// What the registry calls that image, as `sha256:...`; absent if no registry has it, or it lost its name here.
    #[serde(default)]
    pub image_digest: Option<String>,
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
    /// Exit code of its last run that has ended, if that is known; 128 + n after signal n.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Ports of the host that are its own while it runs.
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
    /// What it waits for, or what went wrong last.
    pub message: Option<String>,
}

/// A container's state as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShownState {
    /// The engine was not seen yet.
    Unknown,
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

impl ShownState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Absent,
        Self::Created,
        Self::Restarting,
        Self::Running,
        Self::Paused,
        Self::Exited,
    ];
}

impl fmt::Display for ShownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Absent => "absent",
            Self::Created => "created",
            Self::Restarting => "restarting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        })
    }
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
