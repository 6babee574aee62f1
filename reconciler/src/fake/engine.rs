//! An engine in memory, with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};
use homeostat_spec::{LogRotation, Network, Resources, Volume};

use super::{Chaos, Fault, FaultTime, Operation, World};
use crate::ports::{
    BuildRequest, Clock, ContainerRequest, DiskUsage, Engine, EngineEvent, EngineInfo, ExecOutcome,
    ExecRequest, LogLine, LogQuery, Progress, ProgressStep, PruneRequest, Pruned, Usage,
};
use crate::{ContainerState, ErrorKind, ForeignContainer, Observed, PortError, ResourceKey};

/// An engine in memory, with faults.
///
/// Clones share one host: a clone is the same engine opened again after a crash of the agent.
/// Every call is pending once before it takes effect and once after, so that dropping it there is a
/// crash of the agent in the middle.
#[derive(Clone)]
pub struct FakeEngine {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    world: World,
    faults: Vec<Fault>,
    chaos: Option<Chaos>,
    calls: Vec<(Operation, String)>,
    listeners: Vec<UnboundedSender<EngineEvent>>,
    /// Listeners did not get an event that they have to be made up for.
    lost: bool,
    tells_all: bool,
    blind: bool,
    away: bool,
    hanging: BTreeSet<Operation>,
    /// Of calls that hang.
    wakers: Vec<Waker>,
    starts: Vec<UnboundedSender<ResourceKey>>,
    exec: BTreeMap<ResourceKey, ExecOutcome>,
}

impl FakeEngine {
    /// An engine over a host with nothing on it.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            world: World::at(clock.now()),
            faults: Vec::new(),
            chaos: None,
            calls: Vec::new(),
            listeners: Vec::new(),
            lost: false,
            tells_all: false,
            blind: false,
            away: false,
            hanging: BTreeSet::new(),
            wakers: Vec::new(),
            starts: Vec::new(),
            exec: BTreeMap::new(),
        };
        Self { shared: Arc::new(Shared { clock, state: Mutex::new(state) }) }
    }

    /// Looks at the host, or changes it behind everybody's back: no event tells of it.
    pub fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.state().world)
    }

    /// Makes calls fail.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Makes calls fail at random, or no longer so. Faults that were injected go on. Events that were lost until now
    /// are made up for.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        let mut state = self.state();
        state.chaos = None;
        if std::mem::take(&mut state.lost) {
            state.tell(&EngineEvent::Changed);
        }
        state.chaos = chaos;
    }

    /// Makes it tell of everything that is done through the port too, as Docker does, or no longer.
    pub fn set_tells_all(&self, tells_all: bool) {
        self.state().tells_all = tells_all;
    }

    /// Makes every [`observe`](Engine::observe) fail, or no longer.
    pub fn set_blind(&self, blind: bool) {
        self.state().blind = blind;
    }

    /// Makes every call fail, as of a daemon that does not run, or no longer. What runs goes on.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Makes calls of an operation go on for ever, or lets those that do go on.
    pub fn set_hanging(&self, operation: Operation, hangs: bool) {
        let mut state = self.state();
        if hangs {
            state.hanging.insert(operation);
        } else {
            state.hanging.remove(&operation);
        }
        state.wakers.drain(..).for_each(Waker::wake);
    }

    /// A stream of the containers that are started from now on, for tests that play what runs in them. Nothing
    /// is lost of it.
    pub fn starts(&self) -> BoxStream<'static, ResourceKey> {
        let (sender, receiver) = unbounded();
        self.state().starts.push(sender);
        receiver.boxed()
    }

    /// Ends a container as a crash or a kill does, and tells of it.
    pub fn exit_container(&self, key: &ResourceKey, code: i32) {
        let mut state = self.state();
        state.world.exit(key, Some(code));
        state.tell(&EngineEvent::ContainerExited(key.clone()));
    }

    /// Ends everything that runs. Nobody sees how, and no event tells of it.
    pub fn power_cut(&self) {
        self.state().world.power_cut();
    }

    /// What every command that is run in a container gives; exit code 0 where nothing was set.
    pub fn set_exec(&self, key: &ResourceKey, outcome: ExecOutcome) {
        self.state().exec.insert(key.clone(), outcome);
    }

    /// Takes the calls that changed something or failed since the last time, in order, with the resource or
    /// reference that each was about.
    pub fn take_calls(&self) -> Vec<(Operation, String)> {
        std::mem::take(&mut self.state().calls)
    }

    /// The state, with the host's time moved up to the clock's.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        for key in state.world.advance_to(self.shared.clock.now()) {
            state.tell(&EngineEvent::ContainerExited(key));
        }
        state
    }

    async fn call<T>(
        &self,
        operation: Operation,
        on: String,
        effect: impl FnOnce(&mut World) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError>
    where
        T: Send,
    {
        pending_once().await;
        self.unless_hanging(operation).await;
        let result = {
            let mut state = self.state();
            let fault = state.fault(operation, &on);
            state.calls.push((operation, on.clone()));
            let result = match fault {
                Some((FaultTime::Before, kind)) => Err(injected(operation, &on, kind)),
                Some((FaultTime::After, kind)) => {
                    effect(&mut state.world).and_then(|_| Err(injected(operation, &on, kind)))
                }
                None => effect(&mut state.world),
            };
            // Also when the answer is lost.
            if operation == Operation::StartContainer
                && let Ok(key) = on.parse::<ResourceKey>()
            {
                state.starts.retain(|listener| listener.unbounded_send(key.clone()).is_ok());
            }
            result
        };
        self.tell_of(operation, &on);
        pending_once().await;
        result
    }

    fn tell_of(&self, operation: Operation, on: &str) {
        let mut state = self.state();
        match operation {
            Operation::Observe | Operation::FindForeign | Operation::Usage | Operation::Exec => {}
            Operation::StopContainer => {
                if let Ok(key) = on.parse() {
                    state.tell(&EngineEvent::ContainerExited(key));
                }
            }
            _ if state.tells_all => state.tell(&EngineEvent::Changed),
            _ => {}
        }
    }

    async fn unless_hanging(&self, operation: Operation) {
        futures::future::poll_fn(|context| {
            let mut state = self.state();
            if state.hanging.contains(&operation) {
                state.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl State {
    fn tell(&mut self, event: &EngineEvent) {
        if let Some(chaos) = &mut self.chaos
            && chaos.random.per_mille(chaos.lost_per_mille)
        {
            self.lost = true;
            return;
        }
        self.listeners.retain(|listener| listener.unbounded_send(event.clone()).is_ok());
    }

    fn fault(&mut self, operation: Operation, on: &str) -> Option<(FaultTime, ErrorKind)> {
        let unseen = self.blind && matches!(operation, Operation::Observe | Operation::FindForeign);
        if self.away || unseen {
            return Some((FaultTime::Before, ErrorKind::Transient));
        }
        let meant =
            |fault: &Fault| fault.operation == operation && fault.on.as_deref().is_none_or(|name| name == on);
        if let Some(fault) = self.faults.iter_mut().find(|fault| fault.times > 0 && meant(fault)) {
            fault.times -= 1;
            return Some((fault.time, fault.kind));
        }
        let chaos = self.chaos.as_mut()?;
        if chaos.random.per_mille(chaos.before_per_mille) {
            Some((FaultTime::Before, ErrorKind::Transient))
        } else if chaos.random.per_mille(chaos.after_per_mille) {
            Some((FaultTime::After, ErrorKind::Transient))
        } else {
            None
        }
    }
}

fn injected(operation: Operation, on: &str, kind: ErrorKind) -> PortError {
    PortError::new(kind, format!("injected failure of {operation:?} {on}"))
}

/// Is pending once, so that others get their turn, or the call is dropped here.
async fn pending_once() {
    let mut was_pending = false;
    futures::future::poll_fn(|context| {
        if was_pending {
            return Poll::Ready(());
        }
        was_pending = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Engine for FakeEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "fake".to_owned(), version: Some("1".to_owned()), storage: None }
    }

    async fn observe(&self) -> Result<Observed, PortError> {
        let observe = |world: &mut World| Ok(Observed { files: BTreeSet::new(), ..world.observe() });
        self.call(Operation::Observe, String::new(), observe).await
    }

    async fn find_foreign(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ForeignContainer>, PortError> {
        let find = |world: &mut World| Ok(world.find_foreign(names));
        self.call(Operation::FindForeign, String::new(), find).await
    }

    async fn adopt_container(&self, key: &ResourceKey, id: &str) -> Result<(), PortError> {
        self.call(Operation::AdoptContainer, key.to_string(), |world| world.adopt_container(key, id)).await
    }

    fn events(&self) -> BoxStream<'static, EngineEvent> {
        let (sender, receiver) = unbounded();
        self.state().listeners.push(sender);
        receiver.boxed()
    }

    async fn build_image(
        &self,
        request: &BuildRequest,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        progress.step(&ProgressStep { number: 1, total: 1, stage: None, text: "FROM scratch".to_owned() });
        let bring = |world: &mut World| world.bring_image(&request.reference);
        self.call(Operation::BuildImage, request.reference.clone(), bring).await
    }

    async fn pull_image(&self, reference: &str, _progress: &dyn Progress) -> Result<String, PortError> {
        self.call(Operation::PullImage, reference.to_owned(), |world| world.bring_image(reference)).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), PortError> {
        self.call(Operation::RemoveImage, reference.to_owned(), |world| world.remove_image(reference)).await
    }

    async fn prune(&self, request: &PruneRequest) -> Result<Pruned, PortError> {
        // Its disk always has room, so that there is nothing to look at.
        if request.room.is_some() {
            return Ok(Pruned::default());
        }
        self.call(Operation::Prune, String::new(), |world| Ok(world.prune(request))).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage, PortError> {
        self.call(Operation::DiskUsage, String::new(), |world| Ok(world.disk_usage())).await
    }

    async fn create_volume(&self, key: &ResourceKey, _volume: &Volume) -> Result<(), PortError> {
        let create = |world: &mut World| {
            world.create_volume(key);
            Ok(())
        };
        self.call(Operation::CreateVolume, key.to_string(), create).await
    }

    async fn remove_volume(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::RemoveVolume, key.to_string(), |world| world.remove_volume(key)).await
    }

    async fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), PortError> {
        self.call(Operation::CreateNetwork, key.to_string(), |world| world.create_network(key, network)).await
    }

    async fn remove_network(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::RemoveNetwork, key.to_string(), |world| world.remove_network(key)).await
    }

    async fn create_container(&self, request: &ContainerRequest) -> Result<(), PortError> {
        let create = |world: &mut World| {
            // The files that it mounts lie in a directory of the agent's, out of sight here.
            let files = request.config.mounts.iter().filter_map(|mount| match &mount.source {
                homeostat_spec::MountSource::Source(path) => Some(path.digest.clone()),
                _ => None,
            });
            world.observed_mut().files.extend(files);
            world.create_container(&request.key, &request.image, &request.config)
        };
        self.call(Operation::CreateContainer, request.key.to_string(), create).await
    }

    async fn start_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::StartContainer, key.to_string(), |world| world.start_container(key)).await
    }

    async fn stop_container(
        &self,
        key: &ResourceKey,
        _signal: Option<&str>,
        _grace: Duration,
    ) -> Result<(), PortError> {
        self.call(Operation::StopContainer, key.to_string(), |world| world.stop_container(key)).await
    }

    async fn pause_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::PauseContainer, key.to_string(), |world| world.pause_container(key)).await
    }

    async fn resume_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::ResumeContainer, key.to_string(), |world| world.resume_container(key)).await
    }

    async fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
        log: &LogRotation,
    ) -> Result<(), PortError> {
        self.call(Operation::UpdateContainer, key.to_string(), |world| {
            world.update_container(key, resources, log)
        })
        .await
    }

    async fn remove_container(&self, key: &ResourceKey) -> Result<(), PortError> {
        self.call(Operation::RemoveContainer, key.to_string(), |world| world.remove_container(key)).await
    }

    async fn exec(&self, key: &ResourceKey, _request: &ExecRequest) -> Result<ExecOutcome, PortError> {
        let outcome = self.state().exec.get(key).cloned();
        let works = ExecOutcome { code: Some(0), output: String::new() };
        self.call(Operation::Exec, key.to_string(), |_| Ok(outcome.unwrap_or(works))).await
    }

    fn logs(&self, _key: &ResourceKey, _query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>> {
        stream::empty().boxed()
    }

    async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, PortError> {
        let usage = |world: &mut World| {
            let observed = world.observe();
            let alive = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
            let alive = observed.containers.into_iter().filter(|(_, container)| alive(container.state));
            Ok(alive.map(|(key, _)| (key, Usage::default())).collect())
        };
        self.call(Operation::Usage, String::new(), usage).await
    }
}
