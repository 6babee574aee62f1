//! One run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use homeostat::controller::{Command, Controller, Options, Ports, Until};
use homeostat::files::SourceFiles;
use homeostat::view::View;
use homeostat::watcher::Watcher;
use homeostat_reconciler::fake::{Behaviour, Chaos, FakeEngine, Operation, Random};
use homeostat_reconciler::ports::{Clock, Event, Progress};
use homeostat_reconciler::{ContainerState, Observed, PortError, ResourceKey, Step, lint};
use homeostat_spec::{DesiredState, Node, compile};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::VirtualClock;
use crate::history::{self, Happening};
use crate::source::{Everything, MemorySource};
use crate::specs;
use crate::store::MemoryStore;

/// So many things happen in a run.
const HAPPENINGS: u32 = 12;
/// Longer than any back-off: by then a quiet world has settled.
const SETTLING: Duration = Duration::from_mins(40);
/// How long a settled world is watched.
const WATCHING: Duration = Duration::from_mins(20);

/// Runs the history of a seed.
///
/// # Panics
/// When a plan has lint, when the host does not become what the last specs say, or when it does not stay so.
pub fn run(seed: u64, directory: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can be made");
    runtime.block_on(async { Simulation::new(seed, directory).run().await });
}

struct Simulation {
    random: Random,
    clock: Arc<dyn Clock>,
    engine: FakeEngine,
    source: Arc<MemorySource>,
    store: Arc<MemoryStore>,
    files: SourceFiles,
    specs: BTreeMap<String, String>,
    agent: Option<Running>,
}

/// A loop that runs.
struct Running {
    task: JoinHandle<()>,
    checks: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Option<View>>,
}

impl Simulation {
    fn new(seed: u64, directory: &Path) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
        let mut random = Random::of(seed);
        let source = MemorySource::new();
        let specs = specs::any(&mut random);
        source.replace(specs.clone(), false);
        Self {
            engine: FakeEngine::new(clock.clone()),
            source: Arc::new(source),
            store: Arc::default(),
            files: SourceFiles::open(directory).expect("a directory of the test"),
            random,
            clock,
            specs,
            agent: None,
        }
    }

    async fn run(mut self) {
        self.start();
        for _ in 0..HAPPENINGS {
            let (happening, pause) = history::next(&mut self.random);
            self.happen(happening).await;
            tokio::time::sleep(pause).await;
        }
        self.calm_down().await;
        self.settle().await;
        self.stay().await;
        self.stop().await;
    }

    fn start(&mut self) {
        let ports = Ports {
            engine: Arc::new(self.engine.clone()),
            source: self.source.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            files: self.files.clone(),
            watcher: Arc::new(Silence),
        };
        let options = Options { allow_empty: false, node: Node::default(), until: Until::Stopped, seed: 1 };
        let (controller, view) = Controller::new(ports, options).expect("the store in memory can be read");
        let (commands, queue) = mpsc::channel(4);
        let checks = tokio::spawn(check_plans(view.clone()));
        self.agent = Some(Running { task: tokio::spawn(controller.run(queue)), checks, commands, view });
    }

    /// Kills the loop wherever it is.
    async fn kill(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        agent.task.abort();
        if let Err(error) = agent.task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        if let Err(error) = agent.checks.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    async fn stop(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        agent.commands.send(Command::Stop).await.expect("the loop listens");
        agent.task.await.expect("the loop does not panic");
        agent.checks.await.expect("no plan has lint");
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Edit(tells) => {
                self.specs = specs::any(&mut self.random);
                self.set_behaviours();
                self.source.replace(self.specs.clone(), tells);
            }
            Happening::Break => self.source.replace(specs::broken(&mut self.random, &self.specs), true),
            Happening::SourceFails(fails) => self.source.set_failing(fails),
            Happening::Exit(code) => {
                if let Some(key) = self.some_container() {
                    self.engine.exit_container(&key, code);
                }
            }
            Happening::PowerCut => {
                self.kill().await;
                self.engine.power_cut();
                self.start();
            }
            Happening::KillAgent => {
                self.kill().await;
                self.start();
            }
            Happening::LoseStore => {
                self.kill().await;
                self.store.lose();
                self.start();
            }
            Happening::Chaos(on) => {
                let random = Random::of(self.random.next_number());
                let chaos = Chaos { random, before_per_mille: 100, after_per_mille: 100, lost_per_mille: 0 };
                self.engine.set_chaos(on.then_some(chaos));
            }
        }
    }

    fn some_container(&mut self) -> Option<ResourceKey> {
        let observed = self.engine.with_world(|world| world.observe());
        let count = observed.containers.len() as u64;
        let index = usize::try_from(self.random.below(count.max(1))).ok()?;
        observed.containers.into_keys().nth(index)
    }

    /// Containers that are wanted exited end by themselves after a while.
    fn set_behaviours(&mut self) {
        let desired = self.desired();
        let once = desired.into_iter().filter(|(_, state)| *state == DesiredState::Exited);
        let ends = Behaviour { ends_after: Duration::from_secs(2), code: 0 };
        self.engine.with_world(|world| world.behaviours = once.map(|(key, _)| (key, ends)).collect());
    }

    /// What the last specs ask for.
    fn desired(&self) -> BTreeMap<ResourceKey, DesiredState> {
        let files = self.specs.iter();
        let files: Vec<_> = files
            .map(|(path, text)| homeostat_spec::SpecFile { path: path.clone(), content: text.clone().into() })
            .collect();
        let compiled = compile(&files, &Everything, &Node::default());
        assert!(
            !compiled.has_errors(),
            "random specs are valid: {:?}\n{:?}",
            compiled.diagnostics,
            self.specs
        );
        let containers = compiled.apps.iter().flat_map(|(app, declared)| {
            let key = |name: &homeostat_spec::Name| ResourceKey::new(app.clone(), name.clone());
            declared.containers.iter().map(move |(name, container)| (key(name), container.state))
        });
        containers.collect()
    }

    /// From here on nothing goes wrong any more.
    async fn calm_down(&mut self) {
        self.engine.set_chaos(None);
        self.set_behaviours();
        self.source.set_failing(false);
        self.source.replace(self.specs.clone(), true);
        // An edit of which nobody was told before is found by a sync, as by the next poll.
        if let Some(agent) = &self.agent {
            agent.commands.send(Command::Sync).await.expect("the loop listens");
        }
    }

    async fn settle(&mut self) {
        let agent = self.agent.as_mut().expect("the loop runs");
        let converged = |view: &Option<View>| view.as_ref().is_some_and(View::is_converged);
        let settled = tokio::time::timeout(SETTLING, agent.view.wait_for(converged)).await.is_ok();
        if !settled {
            let view = agent.view.borrow();
            let view = view.as_ref().expect("it has looked");
            panic!("not converged: {:#?}\nsource: {:?}\n{:#?}", view.plan, view.source, self.specs);
        }
        self.compare();
    }

    /// The host is as the specs say.
    fn compare(&self) {
        let observed: Observed = self.engine.with_world(|world| world.observe());
        let wanted = self.desired();
        let there: BTreeSet<&ResourceKey> = observed.containers.keys().collect();
        assert_eq!(there, wanted.keys().collect(), "exactly what is declared is there");
        for (key, state) in &wanted {
            let actual = observed.containers[key].state;
            let expected = match state {
                DesiredState::Created => ContainerState::Created,
                DesiredState::Running => ContainerState::Running,
                DesiredState::Paused => ContainerState::Paused,
                DesiredState::Exited => ContainerState::Exited,
            };
            // One that ended well under on-failure is as it should be.
            let ended_well = actual == ContainerState::Exited
                && observed.containers[key]
                    .exit
                    .as_ref()
                    .is_some_and(homeostat_reconciler::ExitStatus::success);
            assert!(actual == expected || ended_well, "{key} is {actual:?}, wanted {state:?}");
        }
    }

    /// Nothing is changed any more.
    async fn stay(&mut self) {
        self.engine.take_calls();
        tokio::time::sleep(WATCHING).await;
        let calls = self.engine.take_calls();
        let changes: Vec<_> = calls
            .iter()
            .filter(|(operation, _)| !matches!(operation, Operation::Observe | Operation::Exec))
            .collect();
        assert!(changes.is_empty(), "a converged host is left alone: {changes:?}");
        self.compare();
    }
}

/// Every plan that the loop makes is free of lint.
async fn check_plans(mut view: watch::Receiver<Option<View>>) {
    while view.changed().await.is_ok() {
        let Some(view) = view.borrow_and_update().clone() else { continue };
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
    fn step(&self, _: usize, _: usize, _: &str) {}

    fn cached(&self) {}

    fn output(&self, _: &str) {}
}
