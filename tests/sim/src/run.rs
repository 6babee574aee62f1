//! One run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use homeostat::view::View;
use homeostat_reconciler::fake::{Chaos, Operation, Random};
use homeostat_reconciler::ports::{ExecOutcome, Store as _};
use homeostat_reconciler::{
    ContainerState, ExitStatus, HealthStatus, Observed, ObservedContainer, ResourceKey,
};
use homeostat_spec::{Container, DesiredState, RestartPolicy};

use crate::history::{Happening, Mix};
use crate::machine::Machine;
use crate::specs;

/// Longer than any back-off, and far shorter than the clock is set by: by then a quiet world has settled.
const SETTLING: Duration = Duration::from_mins(20);
/// How long a settled world is watched: longer than any back-off.
const WATCHING: Duration = Duration::from_mins(6);

/// Runs the history of a seed, with files in a directory of its own below `directory`.
///
/// # Panics
/// When a plan has lint, when the host does not become what the last specs say, or when it does not stay so.
pub fn run(seed: u64, directory: &Path) {
    let directory = directory.join(seed.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can be made");
    runtime.block_on(async { Simulation::new(seed, &directory).run().await });
    fs_err::remove_dir_all(directory).expect("a directory of the test can be removed");
}

struct Simulation {
    random: Random,
    mix: Mix,
    machine: Machine,
    specs: BTreeMap<String, String>,
    /// Those before the last edit.
    earlier: BTreeMap<String, String>,
    /// What the last specs ask for, whether they were told of or not.
    desired: BTreeMap<ResourceKey, Container>,
}

impl Simulation {
    fn new(seed: u64, directory: &Path) -> Self {
        let mut random = Random::of(seed);
        let mix = Mix::any(&mut random);
        let machine = Machine::new(directory);
        machine.engine.set_tells_all(random.per_mille(500));
        let specs = specs::any(&mut random);
        machine.source.replace(specs.clone(), false);
        let desired = machine.desired(&specs);
        machine.play(&desired);
        Self { random, mix, machine, earlier: specs.clone(), specs, desired }
    }

    async fn run(mut self) {
        self.machine.start();
        for _ in 0..self.mix.length {
            let (happening, pause) = self.mix.next(&mut self.random);
            self.happen(happening).await;
            tokio::time::sleep(pause).await;
        }
        let reads = self.machine.view().map_or(0, |view| view.source.reads);
        self.calm_down();
        self.settle(reads).await;
        self.stay().await;
        self.machine.stop().await;
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Edit(tells) => self.edit(tells),
            Happening::Revert => self.replace_specs(self.earlier.clone(), true),
            Happening::Break => {
                let broken = specs::broken(&mut self.random, &self.specs);
                self.machine.source.replace(broken, true);
            }
            Happening::Empty => self.machine.source.replace(BTreeMap::new(), true),
            Happening::SourceFails(fails) => self.machine.source.set_failing(fails),
            Happening::Exit(code) => {
                if let Some(key) = self.some_container() {
                    self.machine.engine.exit_container(&key, code);
                }
            }
            Happening::Sick(sick) => {
                if let Some(key) = self.some_container() {
                    self.set_sick(&key, sick);
                }
            }
            Happening::PowerCut | Happening::KillAgent | Happening::LoseStore => self.crash(happening).await,
            Happening::FullDisk(full) => self.machine.store.set_full(full),
            Happening::Chaos(on) => self.set_chaos(on),
            Happening::Blind(blind) => self.machine.engine.set_blind(blind),
            Happening::Away(away) => self.machine.engine.set_away(away),
            Happening::BuildsHang(hang) => self.machine.engine.set_hanging(Operation::BuildImage, hang),
            Happening::SetClock(by) => self.machine.clock.set_by(by),
        }
    }

    fn edit(&mut self, tells: bool) {
        if self.random.per_mille(250) {
            self.machine.source.change_files(tells);
            self.desired = self.machine.desired(&self.specs);
            self.machine.play(&self.desired);
        } else {
            let specs = specs::any(&mut self.random);
            self.replace_specs(specs, tells);
        }
    }

    fn replace_specs(&mut self, specs: BTreeMap<String, String>, tells: bool) {
        self.machine.source.replace(specs.clone(), tells);
        self.earlier = std::mem::replace(&mut self.specs, specs);
        self.desired = self.machine.desired(&self.specs);
        self.machine.play(&self.desired);
    }

    async fn crash(&mut self, how: Happening) {
        self.machine.kill().await;
        match how {
            Happening::PowerCut => self.machine.engine.power_cut(),
            Happening::LoseStore => self.machine.store.lose(),
            _ => {}
        }
        self.machine.start();
    }

    fn set_chaos(&mut self, on: bool) {
        let random = Random::of(self.random.next_number());
        let [before_per_mille, after_per_mille, lost_per_mille] = self.mix.chaos;
        let chaos = Chaos { random, before_per_mille, after_per_mille, lost_per_mille };
        self.machine.engine.set_chaos(on.then_some(chaos));
    }

    fn set_sick(&self, key: &ResourceKey, sick: bool) {
        let outcome = ExecOutcome { code: Some(i32::from(sick)), output: String::new() };
        self.machine.engine.set_exec(key, outcome);
    }

    fn observed(&self) -> Observed {
        self.machine.engine.with_world(|world| world.observe())
    }

    fn some_container(&mut self) -> Option<ResourceKey> {
        let containers = self.observed().containers;
        let index = self.random.below(containers.len().max(1) as u64);
        containers.into_keys().nth(usize::try_from(index).ok()?)
    }

    /// From here on nothing goes wrong any more.
    fn calm_down(&self) {
        self.machine.engine.set_chaos(None);
        self.machine.engine.set_blind(false);
        self.machine.engine.set_away(false);
        self.machine.engine.set_hanging(Operation::BuildImage, false);
        self.machine.store.set_full(false);
        for key in self.desired.keys() {
            self.set_sick(key, false);
        }
        self.machine.source.set_failing(false);
        // An edit of which nobody was told before is found now, as with the next poll.
        self.machine.source.replace(self.specs.clone(), true);
    }

    /// Once it has been read more often than so, the source is as it stays. One that is unhealthy and not to be
    /// restarted is as declared, and left to get well.
    async fn settle(&mut self, reads: u64) {
        let sick = |view: &View| {
            let mut running =
                view.observed.containers.iter().filter(|(_, c)| c.state == ContainerState::Running);
            running.any(|(key, _)| view.record.containers[key].health.status == HealthStatus::Unhealthy)
        };
        let settled = |view: &View| view.is_converged() && view.source.reads > reads && !sick(view);
        if !self.machine.sees(SETTLING, settled).await {
            let view = self.machine.view().expect("it has looked");
            let containers = self.observed().containers;
            let ends: Vec<_> =
                containers.iter().map(|(key, actual)| (key.to_string(), &actual.exit)).collect();
            panic!("not converged: {:#?}\n{:?}\n{ends:?}\n{:#?}", view.plan, view.source, self.specs);
        }
        self.compare();
    }

    /// The host is as the specs say.
    fn compare(&self) {
        let observed = self.observed();
        let wanted = &self.desired;
        let record = self.machine.view().expect("it has looked").record;
        let there: BTreeSet<&ResourceKey> = observed.containers.keys().collect();
        assert_eq!(there, wanted.keys().collect(), "exactly what is declared is there");
        for (key, container) in wanted {
            let actual = &observed.containers[key];
            assert_eq!(actual.config, container.config, "{key}");
            let state = (container.state, actual.state);
            let started_as = record.containers[key].started_as;
            let as_wanted = is_as_wanted(container, actual, started_as);
            assert!(as_wanted, "{key} is not as wanted: {state:?}, {:?}, {started_as:?}", actual.exit);
        }
    }

    /// Nothing is changed or written any more, and where nothing is checked regularly nobody wakes.
    async fn stay(&mut self) {
        // Whatever came at the same moment as the last look.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.machine.engine.take_calls();
        let (polls, writes) = (self.machine.polls(), self.machine.store.writes());
        tokio::time::sleep(WATCHING).await;
        let calls = self.machine.engine.take_calls();
        let prunes = self.specs.contains_key("homeostat.toml");
        let expected = |operation| match operation {
            Operation::Exec => true,
            // A prune by itself, and the look after it.
            Operation::Prune | Operation::Observe => prunes,
            _ => false,
        };
        let changes: Vec<_> = calls.iter().filter(|(operation, _)| !expected(*operation)).collect();
        let last = self.machine.store.events(3);
        assert!(changes.is_empty(), "a converged host is left alone: {changes:?}\n{last:?}");
        // When it was last pruned is.
        assert!(prunes || self.machine.store.writes() == writes, "what does not change is not written");
        let checked = self.desired.values().any(|container| container.health.is_some());
        assert!(checked || prunes || self.machine.polls() == polls, "nothing wakes the loop");
        self.compare();
    }
}

fn is_as_wanted(container: &Container, actual: &ObservedContainer, started_as: Option<DesiredState>) -> bool {
    match (container.state, actual.state) {
        (DesiredState::Created, ContainerState::Created)
        | (DesiredState::Running, ContainerState::Running)
        | (DesiredState::Paused, ContainerState::Paused) => true,
        (DesiredState::Exited, ContainerState::Exited) => {
            // What ended before it was wanted as a one-shot has simply ended.
            let of_its_own = started_as == Some(DesiredState::Exited);
            let cut_off = actual.exit.as_ref().is_none_or(ExitStatus::was_cut_off);
            !cut_off || !of_its_own || container.restart == RestartPolicy::No
        }
        (DesiredState::Running | DesiredState::Paused, ContainerState::Exited) => match container.restart {
            RestartPolicy::Always => false,
            RestartPolicy::OnFailure => actual.exit.as_ref().is_some_and(ExitStatus::success),
            RestartPolicy::No => true,
        },
        _ => false,
    }
}
