//! A loop without an agent: observes, plans, lints, executes and remembers, over a [`World`].

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat_reconciler::fake::{Random, World};
use homeostat_reconciler::{
    ContainerState, Desired, ErrorKind, HealthStatus, Plan, PortError, ProbeOutcome, Record, Step, lint, plan,
};
use jiff::Timestamp;

/// A loop without an agent.
pub(crate) struct Loop {
    pub(crate) world: World,
    pub(crate) desired: Desired,
    pub(crate) record: Record,
}

/// How a plan is executed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Execution {
    /// Every step, in order.
    Whole,
    /// Only the steps that come after no other.
    Wave,
    /// Steps in random order as far as `after` allows, up to a random one; then the agent is killed.
    /// Its record may be lost with it.
    Killed,
}

impl Loop {
    pub(crate) fn new(desired: Desired) -> Self {
        let world = World::at(Timestamp::from_second(1_700_000_000).unwrap());
        Self { world, desired, record: Record::default() }
    }

    /// A plan from what is there now. It is always clean and always the same.
    pub(crate) fn plan(&mut self) -> Plan {
        let observed = self.world.observe_for(&self.desired);
        let now = self.world.now();
        self.record.observe(&self.desired, &observed, now);
        let made = plan(&self.desired, &observed, &self.record, now);
        let findings = lint(&made, &self.desired, &observed, &self.record, now);
        assert!(findings.is_empty(), "{findings:#?}\n{made:#?}\n{observed:#?}");
        assert_eq!(made, plan(&self.desired, &observed, &self.record, now));
        made
    }

    /// Makes a plan and executes all of it. Returns it.
    pub(crate) fn step(&mut self) -> Plan {
        let plan = self.plan();
        self.execute(&plan, Execution::Whole, &mut Random::of(0), 0);
        plan
    }

    /// Executes a plan; so many of a thousand steps fail.
    pub(crate) fn execute(&mut self, plan: &Plan, how: Execution, random: &mut Random, failing: u32) {
        let mut left: Vec<usize> = (0..plan.steps.len()).collect();
        let mut done = BTreeSet::new();
        let mut failed = BTreeSet::new();
        let mut budget = match how {
            Execution::Killed => random.below(plan.steps.len() as u64 + 1),
            _ => u64::MAX,
        };
        loop {
            let ready: Vec<usize> = left
                .iter()
                .copied()
                .filter(|index| plan.steps[*index].after.iter().all(|earlier| done.contains(earlier)))
                .filter(|index| how != Execution::Wave || plan.steps[*index].after.is_empty())
                .collect();
            if ready.is_empty() || budget == 0 {
                return;
            }
            budget -= 1;
            let index = if how == Execution::Killed {
                ready[usize::try_from(random.below(ready.len() as u64)).unwrap()]
            } else {
                ready[0]
            };
            left.retain(|other| *other != index);
            let remembered = how != Execution::Killed || budget > 0 || random.per_mille(500);
            if self.do_step(&plan.steps[index], remembered, random.per_mille(failing), random) {
                done.insert(index);
            } else {
                failed.insert(index);
            }
        }
    }

    fn do_step(&mut self, step: &Step, remembered: bool, fails: bool, random: &mut Random) -> bool {
        let injected = || PortError::new(ErrorKind::Transient, "injected");
        let result = match (fails, random.per_mille(500)) {
            (true, true) => Err(injected()),
            // It did what was asked, and the answer was lost.
            (true, false) => self.world.apply(step).and_then(|()| Err(injected())),
            (false, _) => self.world.apply(step),
        };
        let now = self.world.now();
        match &result {
            _ if !remembered => {}
            Ok(()) => drop(self.record.step_succeeded(&self.desired, step, now)),
            Err(error) => drop(self.record.step_failed(&self.desired, step, error, now)),
        }
        result.is_ok()
    }

    /// Runs every probe that is due by now; each passes so many times of a thousand.
    pub(crate) fn probe(&mut self, random: &mut Random, passing: u32) {
        let now = self.world.now();
        let observed = self.world.observe();
        self.record.observe(&self.desired, &observed, now);
        for (key, container) in self.desired.containers() {
            let (Some(check), Some(actual)) = (&container.health, observed.containers.get(&key)) else {
                continue;
            };
            if self.record.next_probe_at(&key, check, actual).is_some_and(|due| due <= now) {
                let outcome = if random.per_mille(passing) {
                    ProbeOutcome::Passed
                } else {
                    ProbeOutcome::Failed("connection refused".to_owned())
                };
                self.record.probe_result(&key, check, outcome, now);
            }
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let now = self.world.now().checked_add(by).unwrap();
        self.world.advance_to(now);
    }

    /// Plans and executes, letting time pass, until nothing is left to do. Returns the last plan.
    pub(crate) fn settle(&mut self) -> Plan {
        let mut random = Random::of(0);
        let mut last = Plan::default();
        for _ in 0..100 {
            self.probe(&mut random, 1000);
            last = self.step();
            let sleeps = last.due().is_none() && self.world.next_end().is_none();
            let probing = self.awaits_probe();
            if last.steps.is_empty() && sleeps && !probing {
                return last;
            }
            if last.steps.is_empty() {
                let until = [last.due(), self.world.next_end()].into_iter().flatten().min();
                let second = self.world.now().checked_add(Duration::from_secs(1)).unwrap();
                let until = until.map_or(second, |until| if probing { until.min(second) } else { until });
                self.world.advance_to(until.max(self.world.now()));
            }
        }
        panic!("does not settle: {last:#?}\n{:#?}", self.world.observe());
    }

    fn awaits_probe(&self) -> bool {
        let observed = self.world.observe();
        self.desired.containers().any(|(key, container)| {
            container.health.is_some()
                && observed.containers.get(&key).is_some_and(|actual| actual.state == ContainerState::Running)
                && self.record.containers[&key].health.status != HealthStatus::Healthy
        })
    }
}
