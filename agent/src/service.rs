//! Everything that can be asked of homeostat, whether an agent runs or not.
//!
//! The socket API serves it; a command that finds no agent serves it to itself.

mod alone;
mod by_hand;
mod files;
mod images;
mod info;
mod listing;
mod logs;
mod usage;
mod volumes;

use std::sync::Arc;

use homeostat_reconciler::ports::{
    BuildRequest, Checked, Clock, DiskUsage, Engine, EngineInfo, Event, EventKind, Progress, PruneRequest,
    Pruned, Store,
};
use homeostat_reconciler::{
    Desired, ErrorKind, ObservedContainer, Plan, PortError, ResourceId, ResourceKey, Waiting,
};
use homeostat_spec::{Container, Diagnostic, HostPrune};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::by_hand::ByHandBook;
use crate::compiled;
use crate::controller::Command;
use crate::engine_watch::EngineTrouble;
use crate::files::SourceFiles;
use crate::looking;
use crate::render;
use crate::view::{SourceView, View};

pub use by_hand::NewContainer;
pub use images::{ImageInspection, ImageListing};
pub use info::{HostInfo, Info};
pub use listing::ContainerListing;
pub use logs::AppLogLine;
pub use usage::UsageReport;
pub use volumes::VolumeListing;

/// The app of containers that are run by hand and belong to no other.
pub const OWN_APP: &str = "run";

/// See the module's documentation.
#[derive(Clone)]
pub struct Service {
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Remembers.
    pub store: Arc<dyn Store>,
    /// What was asked for by hand.
    pub by_hand: Arc<ByHandBook>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Files of the source on this host.
    pub files: SourceFiles,
    /// What this host says about pruning.
    pub prune: HostPrune,
    /// The loop, where one runs.
    pub agent: Option<Agent>,
}

/// A running loop.
#[derive(Clone)]
pub struct Agent {
    /// What it knows.
    pub view: watch::Receiver<Option<View>>,
    /// Tells it something.
    pub commands: mpsc::Sender<Command>,
}

/// `status -o json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Apps and containers.
    #[serde(flatten)]
    pub report: homeostat_reconciler::StatusReport,
    /// An agent keeps it so.
    pub agent: bool,
    /// Everything is as declared.
    pub converged: bool,
    /// The source, where an agent runs: path or URL.
    pub source: Option<String>,
    /// Why the engine cannot be seen, if it cannot; then what is told of containers is as old as that.
    pub engine_error: Option<EngineTrouble>,
    /// What is in error beyond single apps: the source, the engine.
    pub errors: Vec<String>,
    /// What is wrong with spec files.
    pub diagnostics: Vec<Diagnostic>,
}

/// `inspect`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inspection {
    /// As declared; `None` when it is not declared any more.
    pub desired: Option<Container>,
    /// As it is; `None` when it does not exist.
    pub observed: Option<ObservedContainer>,
    /// What is remembered of it.
    pub record: Option<homeostat_reconciler::ContainerRecord>,
}

/// `why`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The revision that asks for it.
    pub revision: String,
    /// The spec file that declares it.
    pub file: Option<String>,
    /// Desired, observed, remembered.
    pub inspection: Inspection,
    /// Why the engine cannot be seen, if it cannot; then what is observed is as old as that.
    pub engine_error: Option<EngineTrouble>,
    /// The last failed attempts at it.
    pub failure: Option<homeostat_reconciler::Failure>,
    /// Steps of the plan at it.
    pub steps: Vec<homeostat_reconciler::Step>,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
    /// The last events about it, oldest first.
    pub events: Vec<Event>,
}

impl Service {
    /// What is known: by the loop, or by looking now.
    ///
    /// # Errors
    /// When there is no loop and the store or the engine fail.
    pub async fn view(&self) -> Result<View, PortError> {
        match &self.agent {
            Some(agent) => agent.first_view().await,
            None => self.look().await,
        }
    }

    async fn look(&self) -> Result<View, PortError> {
        let stored = self.store.load()?;
        let declared = Desired {
            revision: stored.revision.unwrap_or_default(),
            apps: stored.apps,
            prune: stored.prune,
            ..Desired::default()
        };
        let (desired, by_hand) = self.by_hand.complete(&declared);
        let observed = looking::look(self.engine.as_ref(), &self.files, &desired, looking::PATIENCE).await?;
        let time = self.clock.now();
        let plan = homeostat_reconciler::plan(&desired, &observed, &stored.record, time);
        Ok(View {
            desired: Arc::new(desired),
            observed: Arc::new(observed),
            record: Arc::new(stored.record),
            plan: Arc::new(plan),
            diagnostics: Arc::default(),
            source: SourceView::default(),
            engine_error: None,
            by_hand,
            seen: true,
            settled: true,
            time,
        })
    }

    /// `status`.
    ///
    /// # Errors
    /// Those of [`Service::view`].
    pub async fn status(&self) -> Result<Status, PortError> {
        let view = self.view().await?;
        Ok(Status::of(
            &view,
            &self.engine.info(),
            self.agent.as_ref().map(|_| view.source.description.clone()),
        ))
    }

    /// The plan towards `desired`, from what is there now. A broken app is taken in its last good state.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn plan(&self, desired: &Desired) -> Result<Plan, PortError> {
        let view = self.view().await?;
        let mut desired = desired.clone();
        compiled::keep_last_good(&mut desired, &view.desired);
        let (desired, _) = self.by_hand.complete(&desired);
        let observed = looking::look(self.engine.as_ref(), &self.files, &desired, looking::PATIENCE).await?;
        Ok(homeostat_reconciler::plan(&desired, &observed, &view.record, self.clock.now()).redacted())
    }

    /// `inspect`.
    ///
    /// # Errors
    /// When there is no such container, declared or existing.
    pub async fn inspect(&self, key: &ResourceKey) -> Result<Inspection, PortError> {
        inspection(&self.view().await?, key)
    }

    /// `why`.
    ///
    /// # Errors
    /// As [`Service::inspect`].
    pub async fn why(&self, key: &ResourceKey) -> Result<Explanation, PortError> {
        let view = self.view().await?;
        let inspection = inspection(&view, key)?;
        let resource = ResourceId::container(key);
        let mut events = self.store.events(usize::MAX)?;
        events.retain(|event| event.resource.as_ref() == Some(key));
        events.drain(..events.len().saturating_sub(10));
        Ok(Explanation {
            revision: view.desired.revision.clone(),
            file: view.desired.apps.get(&key.app).map(|app| app.file.clone()),
            inspection,
            engine_error: view.engine_error.clone(),
            failure: view.record.failures.get(&resource).cloned(),
            steps: view.plan.redacted().steps.into_iter().filter(|step| step.resource == resource).collect(),
            waiting: view
                .plan
                .waiting
                .iter()
                .filter(|waiting| waiting.resource == resource)
                .cloned()
                .collect(),
            events,
        })
    }

    /// The container that an address of the command line means: `APP/NAME`, or `APP` with one container.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn resolve(&self, address: &str) -> Result<ResourceKey, PortError> {
        let mut keys = self.select(address).await?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            (last, _) => {
                keys.extend(last);
                let message = format!("app {address} has several containers");
                let hint = format!("say which: {}", list(keys.iter()));
                Err(PortError::new(ErrorKind::User, message).with_hint(hint))
            }
        }
    }

    /// The containers that an address of the command line means: `APP/NAME`, or `APP` with all of its containers, or where
    /// there is no such app the name of a container that was run by hand.
    ///
    /// # Errors
    /// When there is none.
    pub async fn select(&self, address: &str) -> Result<Vec<ResourceKey>, PortError> {
        let keys = self.view().await?.keys();
        let wanted = |key: &&ResourceKey| {
            if address.contains('/') { key.to_string() == address } else { key.app.as_str() == address }
        };
        let mut selected: Vec<ResourceKey> = keys.iter().filter(wanted).cloned().collect();
        if selected.is_empty() {
            let of_own_app = |key: &&ResourceKey| key.app.as_str() == OWN_APP && key.name.as_str() == address;
            selected.extend(keys.iter().find(of_own_app).cloned());
        }
        if selected.is_empty() { Err(unknown(address, &keys)) } else { Ok(selected) }
    }

    /// `events`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn events(&self, limit: usize) -> Result<Vec<Event>, PortError> {
        self.store.events(limit)
    }

    /// `system df`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn disk_usage(&self) -> Result<DiskUsage, PortError> {
        self.engine.disk_usage().await
    }

    /// `prune`: removes what nobody needs as the policy says, or what is safe to remove where there is none.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn prune(&self, dry_run: bool) -> Result<Pruned, PortError> {
        let view = self.view().await?;
        let policy = homeostat_reconciler::prune_policy(&view.desired, &self.prune);
        let policy = if policy.is_empty() { homeostat_reconciler::prune_by_hand() } else { policy };
        let others = self.prune.others;
        let request = homeostat_reconciler::prune_request(
            &policy,
            others,
            &view.desired,
            &view.record,
            self.clock.now(),
        );
        let pruned = self.engine.prune(&PruneRequest { dry_run, ..request }).await?;
        if !dry_run {
            self.note_pruned(&pruned).await?;
        }
        Ok(pruned)
    }

    /// `check`: compares what the engine has on disk with what it should be.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn check(&self, repair: bool) -> Result<Checked, PortError> {
        let checked = self.engine.check(repair).await?;
        // What was removed is missed at once.
        if repair {
            self.look_again().await?;
        }
        Ok(checked)
    }

    /// Tells the loop, or writes down what it would.
    async fn note_pruned(&self, pruned: &Pruned) -> Result<(), PortError> {
        match (&self.agent, render::prune::summary(pruned)) {
            (Some(agent), _) => agent.tell(Command::Pruned(pruned.clone())).await,
            (None, Some(message)) => {
                let event =
                    Event { time: self.clock.now(), kind: EventKind::Pruned, resource: None, message };
                self.store.append_events(&[event])
            }
            (None, None) => Ok(()),
        }
    }

    /// `build`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn build(&self, request: &BuildRequest, progress: &dyn Progress) -> Result<String, PortError> {
        let id = self.engine.build_image(request, progress).await?;
        self.look_again().await?;
        Ok(id)
    }
}

impl Status {
    /// The status that a view gives; `source` where an agent runs.
    pub fn of(view: &View, engine: &EngineInfo, source: Option<String>) -> Self {
        let errors = [
            view.source.error.as_ref().map(|error| format!("source: {error}")),
            view.engine_error.as_ref().map(|error| format!("engine: {error}")),
        ];
        Self {
            report: view.status(engine),
            agent: source.is_some(),
            converged: view.is_converged(),
            source,
            engine_error: view.engine_error.clone(),
            errors: errors.into_iter().flatten().collect(),
            diagnostics: view.diagnostics.as_ref().clone(),
        }
    }
}

impl Agent {
    async fn first_view(&self) -> Result<View, PortError> {
        let mut view = self.view.clone();
        let known = view.wait_for(Option::is_some).await.map_err(|_| ended())?;
        known.clone().ok_or_else(ended)
    }

    /// Tells the loop something.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn tell(&self, command: Command) -> Result<(), PortError> {
        self.commands.send(command).await.map_err(|_| ended())
    }

    /// Has the loop read its source, and waits until there is nothing more to do.
    ///
    /// # Errors
    /// When the loop ends meanwhile.
    pub async fn sync(&self) -> Result<View, PortError> {
        let syncs = self.first_view().await?.source.syncs;
        self.tell(Command::Sync).await?;
        let mut view = self.view.clone();
        let settled =
            |view: &Option<View>| view.as_ref().is_some_and(|view| view.settled && view.source.syncs > syncs);
        let known = view.wait_for(settled).await.map_err(|_| ended())?;
        known.clone().ok_or_else(ended)
    }
}

fn ended() -> PortError {
    PortError::new(ErrorKind::Transient, "the agent is ending")
}

fn inspection(view: &View, key: &ResourceKey) -> Result<Inspection, PortError> {
    let desired = view.desired.container(key).cloned();
    let observed = view.observed.containers.get(key).cloned();
    if desired.is_none() && observed.is_none() {
        return Err(unknown(&key.to_string(), &view.keys()));
    }
    Ok(Inspection { desired, observed, record: view.record.containers.get(key).cloned() })
}

fn unknown(address: &str, keys: &[ResourceKey]) -> PortError {
    let error = PortError::new(ErrorKind::User, format!("there is no container {address}"));
    if keys.is_empty() { error } else { error.with_hint(format!("there are: {}", list(keys.iter()))) }
}

fn list<'a>(keys: impl Iterator<Item = &'a ResourceKey>) -> String {
    keys.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
