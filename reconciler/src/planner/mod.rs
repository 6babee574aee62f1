//! From desired, observed and record to a plan.
//!
//! In this order: what containers need ([`needs`]), what is to become of each container ([`subject`]),
//! networks ([`networks`]), stops and removals that make room ([`room`]), the containers one by one
//! in the order of their dependencies ([`containers`], [`adopt`], [`start`]), and what nobody needs any more ([`prune`]).

mod adopt;
mod containers;
mod graph;
mod needs;
mod networks;
mod prune;
mod room;
mod start;
mod subject;

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::PullPolicy;
use jiff::Timestamp;

use self::graph::{Graph, Node};
use self::needs::Need;
use self::start::Ports;
use self::subject::Subject;
use crate::backoff::is_due;
use crate::target::target;
use crate::{
    Cause, Desired, Failure, Held, HoldReason, Observed, Plan, Record, ResourceId, ResourceKey, Step,
    WaitReason, Waiting,
};

/// The steps that lead from observed to desired, and what has to wait.
///
/// # Guarantees
/// - The same input gives the same plan, and every input gives one.
/// - A container that runs is not stopped before all that its successor needs is here.
/// - Nothing is removed but what homeostat owns; no volume unless its spec said so; nothing of a
///   broken app that nothing else declares; nothing at all for an empty source that is not allowed.
/// - Trouble with one resource holds up only what needs it.
pub fn plan(desired: &Desired, observed: &Observed, record: &Record, now: Timestamp) -> Plan {
    let mut planner = Planner::new(desired, observed, record, now);
    planner.provide_needs();
    planner.assess_containers();
    planner.plan_networks();
    planner.make_room();
    planner.advance_containers();
    planner.prune();
    planner.finish()
}

/// A plan in the making.
struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    record: &'a Record,
    now: Timestamp,
    graph: Graph,
    waiting: Vec<Waiting>,
    /// By reference.
    pull_policies: BTreeMap<String, PullPolicy>,
    /// By reference.
    images: BTreeMap<String, Need>,
    /// By digest.
    files: BTreeMap<String, Need>,
    volumes: BTreeMap<ResourceKey, Need>,
    networks: BTreeMap<ResourceKey, Need>,
    /// Networks that are created only after containers were removed.
    late_networks: BTreeSet<ResourceKey>,
    network_removals: BTreeMap<ResourceKey, Node>,
    subjects: BTreeMap<ResourceKey, Subject<'a>>,
    /// Containers that hold what others wait for: they stop as early as they can.
    yielding: BTreeSet<ResourceKey>,
    /// Ids of containers that are taken over in this plan.
    adopted: BTreeSet<String>,
    /// The step that stops a container that stays stopped or is removed.
    stops: BTreeMap<ResourceKey, Node>,
    removals: BTreeMap<ResourceKey, Node>,
    starts: BTreeMap<ResourceKey, Node>,
    ports: Ports,
}

impl<'a> Planner<'a> {
    fn new(desired: &'a Desired, observed: &'a Observed, record: &'a Record, now: Timestamp) -> Self {
        Self {
            desired,
            observed,
            record,
            now,
            graph: Graph::default(),
            waiting: Vec::new(),
            pull_policies: desired.pull_policies(),
            images: BTreeMap::new(),
            files: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            late_networks: BTreeSet::new(),
            network_removals: BTreeMap::new(),
            subjects: BTreeMap::new(),
            yielding: BTreeSet::new(),
            adopted: BTreeSet::new(),
            stops: BTreeMap::new(),
            removals: BTreeMap::new(),
            starts: BTreeMap::new(),
            ports: Ports::of(observed),
        }
    }

    fn wait(&mut self, resource: ResourceId, reason: WaitReason, until: Option<Timestamp>) {
        let waiting = Waiting { resource, reason, until };
        if !self.waiting.contains(&waiting) {
            self.waiting.push(waiting);
        }
    }

    /// The failure that the resource backs off from, if it does.
    fn failure(&self, resource: &ResourceId) -> Option<&'a Failure> {
        let failure = self.record.failures.get(resource)?;
        let backs_off =
            !is_due(failure.retry_at, self.now) && failure.attempted == target(self.desired, resource);
        backs_off.then_some(failure)
    }

    /// Whether the resource backs off; says so in the plan if it does.
    fn backs_off(&mut self, resource: &ResourceId) -> bool {
        let Some(failure) = self.failure(resource) else { return false };
        let reason = WaitReason::BackOff { attempts: failure.attempts, message: failure.message.clone() };
        self.wait(resource.clone(), reason, Some(failure.retry_at));
        true
    }

    /// Whether a resource is kept though it is not declared.
    fn is_protected(&self, key: &ResourceKey) -> bool {
        self.desired.protects(&key.app)
    }

    fn finish(mut self) -> Plan {
        let steps = std::mem::take(&mut self.graph).into_steps();
        if !self.desired.is_held() {
            return Plan { steps, waiting: self.waiting, held: Vec::new() };
        }
        let (steps, held) = self.hold_back(steps);
        let held = held.into_iter().map(|resource| Held { resource, reason: HoldReason::EmptySource });
        Plan { steps, waiting: self.waiting, held: held.collect() }
    }

    /// What there is to do for an empty source: all that was asked for by hand. Of everything else, only what it is about.
    fn hold_back(&self, steps: Vec<Step>) -> (Vec<Step>, BTreeSet<ResourceId>) {
        let mut kept = Vec::new();
        let mut held = BTreeSet::new();
        let mut places = BTreeMap::new();
        for (index, mut step) in steps.into_iter().enumerate() {
            let after: Option<Vec<usize>> =
                step.after.iter().map(|earlier| places.get(earlier).copied()).collect();
            match after.filter(|_| self.is_by_hand(&step)) {
                Some(after) => {
                    places.insert(index, kept.len());
                    step.after = after;
                    kept.push(step);
                }
                None => {
                    held.insert(step.resource);
                }
            }
        }
        (kept, held)
    }

    fn is_by_hand(&self, step: &Step) -> bool {
        match &step.resource {
            ResourceId::Declared(kind, key) => self.desired.is_by_hand(*kind, key),
            ResourceId::Image(_) | ResourceId::File(_) => !matches!(step.cause, Cause::Unused),
        }
    }
}
