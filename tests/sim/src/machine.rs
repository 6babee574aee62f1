//! A host with an agent on it, all in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use homeostat::by_hand::ByHandBook;
use homeostat::controller::{Command, Controller, Options, Ports, Until};
use homeostat::files::SourceFiles;
use homeostat::view::View;
use homeostat::watcher::Watcher;
use homeostat_reconciler::fake::FakeEngine;
use homeostat_reconciler::ports::{Event, Progress, ProgressStep};
use homeostat_reconciler::{PortError, ResourceKey, Step, lint};
use homeostat_spec::{Container, DesiredState, HostPrune, Node, SpecFile, compile};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::VirtualClock;
use crate::polls::{Polls, counted};
use crate::processes::Processes;
use crate::source::MemorySource;
use crate::store::MemoryStore;

/// A host with an agent on it.
pub(crate) struct Machine {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) engine: FakeEngine,
    pub(crate) source: Arc<MemorySource>,
    pub(crate) store: Arc<MemoryStore>,
    by_hand: Arc<ByHandBook>,
    files: SourceFiles,
    processes: Processes,
    agent: Option<Agent>,
}

/// A loop that runs.
struct Agent {
    task: JoinHandle<()>,
    checks: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Option<View>>,
    polls: Polls,
}

impl Machine {
    /// A host with nothing on it, and files of the source in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        let clock = Arc::new(VirtualClock::start());
        let engine = FakeEngine::new(clock.clone());
        Self {
            processes: Processes::of(&engine),
            engine,
            source: Arc::new(MemorySource::new()),
            store: Arc::default(),
            by_hand: Arc::new(ByHandBook::in_memory()),
            files: SourceFiles::open(directory).expect("a directory of the test"),
            clock,
            agent: None,
        }
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        self.start_until(Until::Stopped);
    }

    /// Starts the agent, which ends by itself as `until` says.
    pub(crate) fn start_until(&mut self, until: Until) {
        let ports = Ports {
            engine: Arc::new(self.engine.clone()),
            source: self.source.clone(),
            store: self.store.clone(),
            by_hand: self.by_hand.clone(),
            clock: self.clock.clone(),
            files: self.files.clone(),
            watcher: Arc::new(Silence),
        };
        let prune = HostPrune::default();
        let options = Options { allow_empty: false, node: Node::default(), until, prune, seed: 1 };
        let (controller, view) = Controller::new(ports, options).expect("the store in memory can be read");
        let (commands, queue) = mpsc::channel(4);
        let checks = tokio::spawn(check_plans(view.clone()));
        let (run, polls) = counted(controller.run(queue));
        self.agent = Some(Agent { task: tokio::spawn(run), checks, commands, view, polls });
    }

    /// Kills the agent wherever it is.
    pub(crate) async fn kill(&mut self) {
        if let Some(agent) = &self.agent {
            agent.task.abort();
        }
        self.ended().await;
    }

    /// Stops the agent in good order.
    pub(crate) async fn stop(&mut self) {
        self.tell(Command::Stop).await;
        self.ended().await;
    }

    /// Waits for the agent to end.
    pub(crate) async fn ended(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        for ended in [agent.task.await, agent.checks.await] {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Tells the agent something.
    pub(crate) async fn tell(&self, command: Command) {
        self.agent().commands.send(command).await.expect("the loop listens");
    }

    /// What the agent knew when it last looked; `None` before it first did.
    pub(crate) fn view(&self) -> Option<View> {
        self.agent().view.borrow().clone()
    }

    /// Waits until the agent's view is so; false if it is not within `limit`.
    pub(crate) async fn sees(&self, limit: Duration, so: impl Fn(&View) -> bool) -> bool {
        let mut view = self.agent().view.clone();
        let seen = view.wait_for(|view| view.as_ref().is_some_and(&so));
        tokio::time::timeout(limit, seen).await.is_ok_and(|seen| seen.is_ok())
    }

    /// How often the agent's loop was woken.
    pub(crate) fn polls(&self) -> u64 {
        self.agent().polls.count()
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("the agent runs")
    }

    /// The containers that `specs` ask for, with what lies beside them now.
    pub(crate) fn desired(&self, specs: &BTreeMap<String, String>) -> BTreeMap<ResourceKey, Container> {
        let files =
            specs.iter().map(|(path, text)| SpecFile { path: path.clone(), content: text.clone().into() });
        let compiled = compile(&files.collect::<Vec<_>>(), &self.source.beside(), &Node::default());
        assert!(!compiled.has_errors(), "the specs are valid: {:?}\n{specs:?}", compiled.diagnostics);
        let containers = compiled.apps.into_iter().flat_map(|(app, declared)| {
            let containers = declared.containers.into_iter();
            containers.map(move |(name, container)| (ResourceKey::new(app.clone(), name), container))
        });
        containers.collect()
    }

    /// What runs in the containers is from now on as is desired of them.
    pub(crate) fn play(&self, desired: &BTreeMap<ResourceKey, Container>) {
        let one_shots: BTreeSet<ResourceKey> = desired
            .iter()
            .filter(|(_, container)| container.state == DesiredState::Exited)
            .map(|(key, _)| key.clone())
            .collect();
        self.processes.set_one_shots(one_shots);
    }
}

/// Every plan that the loop makes is free of lint.
async fn check_plans(mut view: watch::Receiver<Option<View>>) {
    while view.changed().await.is_ok() {
        let Some(view) = view.borrow_and_update().clone() else { continue };
        // Without an answer of the engine nothing was planned, and the plan is older than the record.
        if view.engine_error.is_some() {
            continue;
        }
        let found = lint(&view.plan, &view.desired, &view.observed, &view.record, view.time);
        assert!(found.is_empty(), "{found:?}\n{:#?}", view.plan);
    }
}

/// Nobody watches.
struct Silence;

impl Watcher for Silence {
    fn step_started(&self, _: &Step) -> Box<dyn Progress> {
        Box::new(Silence)
    }

    fn step_finished(&self, _: &Step, _: &Result<(), PortError>, _: Duration) {}

    fn event(&self, _: &Event) {}
}

impl Progress for Silence {
    fn step(&self, _: &ProgressStep) {}

    fn cached(&self, _: usize) {}

    fn missed(&self, _: usize, _: &str) {}

    fn output(&self, _: Option<usize>, _: &str) {}
}
