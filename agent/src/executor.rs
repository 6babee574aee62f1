//! Runs the steps of plans, as many at once as makes sense.
//!
//! A plan can be offered while steps of an earlier one still run. It knows more than the earlier one did, so what had not
//! begun by then is forgotten, and of the new plan all is taken but the steps of resources that are being worked on and
//! what comes after those: once they are done, the next plan says how it goes on. A build that takes minutes holds up
//! nothing but the containers that need its image.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use homeostat_reconciler::{Action, Desired, ErrorKind, Plan, PortError, ResourceId, Step};

use crate::files::Origin;
use crate::hands::Hands;
use crate::limits::{self, Activity};
use crate::watcher::Watcher;

/// Sorts of steps that are limited apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Done in milliseconds; they share few cores and one disk.
    Quick,
    /// Waits for a container to end: long, and costs nothing.
    Stop,
    /// Builds and pulls: long, and needs much.
    Image,
}

impl Lane {
    fn of(action: &Action) -> Self {
        match action {
            Action::BuildImage { .. } | Action::PullImage { .. } => Self::Image,
            Action::StopContainer { .. } => Self::Stop,
            _ => Self::Quick,
        }
    }

    fn at_once(self) -> usize {
        match self {
            Self::Quick => 8,
            Self::Stop => 64,
            Self::Image => 2,
        }
    }
}

/// A step that has ended.
pub struct Finished {
    /// The step.
    pub step: Step,
    /// What its plan was made for; something else may be wanted by now.
    pub desired: Arc<Desired>,
    /// How it ended.
    pub result: Result<(), PortError>,
    /// How long it took.
    pub took: Duration,
}

/// See the module's documentation.
pub struct Executor {
    hands: Hands,
    watcher: Arc<dyn Watcher>,
    origin: Option<Origin>,
    next: u64,
    pending: BTreeMap<u64, Pending>,
    running: FuturesUnordered<BoxFuture<'static, (u64, Finished)>>,
    /// The steps in `running`.
    under_way: BTreeMap<u64, (ResourceId, Lane)>,
}

struct Pending {
    step: Step,
    desired: Arc<Desired>,
    after: BTreeSet<u64>,
}

impl Executor {
    /// An executor without work.
    pub fn new(hands: Hands, watcher: Arc<dyn Watcher>) -> Self {
        Self {
            hands,
            watcher,
            origin: None,
            next: 0,
            pending: BTreeMap::new(),
            running: FuturesUnordered::new(),
            under_way: BTreeMap::new(),
        }
    }

    /// Files of the source come from here from now on.
    pub fn set_origin(&mut self, origin: Origin) {
        self.origin = Some(origin);
    }

    /// Nothing runs and nothing waits to run.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.running.is_empty()
    }

    /// Nothing runs but what may take minutes: a good moment to look at everything else again.
    pub fn has_only_slow_steps(&self) -> bool {
        self.under_way.values().all(|(_, lane)| *lane != Lane::Quick)
    }

    /// Takes the steps of a plan for what is desired whose resources are free, in place of all that have not begun, and begins with those
    /// that can run.
    pub fn offer(&mut self, plan: &Plan, desired: &Arc<Desired>) {
        self.pending.clear();
        let busy: HashSet<ResourceId> =
            self.under_way.values().map(|(resource, _)| resource.clone()).collect();
        let mut taken: Vec<Option<u64>> = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let after: Option<BTreeSet<u64>> = step.after.iter().map(|index| taken[*index]).collect();
            let id = after.filter(|_| !busy.contains(&step.resource)).map(|after| {
                self.next += 1;
                self.pending
                    .insert(self.next, Pending { step: step.clone(), desired: desired.clone(), after });
                self.next
            });
            taken.push(id);
        }
        self.start_ready();
    }

    /// Forgets the steps that have not begun.
    pub fn take_no_more(&mut self) {
        self.pending.clear();
    }

    /// Waits for a step to end. `None` when nothing runs.
    pub async fn next_finished(&mut self) -> Option<Finished> {
        let (id, finished) = self.running.next().await?;
        self.under_way.remove(&id);
        if finished.result.is_ok() {
            for pending in self.pending.values_mut() {
                pending.after.remove(&id);
            }
        } else {
            self.drop_dependents(id);
        }
        self.start_ready();
        Some(finished)
    }

    /// Forgets the steps that need a failed one; the next plan says what becomes of them.
    fn drop_dependents(&mut self, failed: u64) {
        let mut gone = BTreeSet::from([failed]);
        // Ids grow from a step to those that need it, so one pass in order finds all.
        self.pending.retain(|id, pending| {
            let needs_it = pending.after.iter().any(|id| gone.contains(id));
            if needs_it {
                gone.insert(*id);
            }
            !needs_it
        });
    }

    fn start_ready(&mut self) {
        let ready: Vec<u64> =
            self.pending.iter().filter(|(_, pending)| pending.after.is_empty()).map(|(id, _)| *id).collect();
        for id in ready {
            let lane = Lane::of(&self.pending[&id].step.action);
            if self.under_way.values().filter(|(_, other)| *other == lane).count() >= lane.at_once() {
                continue;
            }
            let Some(pending) = self.pending.remove(&id) else { continue };
            self.under_way.insert(id, (pending.step.resource.clone(), lane));
            self.running.push(self.run(id, pending.step, pending.desired));
        }
    }

    fn run(&self, id: u64, step: Step, desired: Arc<Desired>) -> BoxFuture<'static, (u64, Finished)> {
        let (hands, watcher, origin) = (self.hands.clone(), self.watcher.clone(), self.origin.clone());
        Box::pin(async move {
            let started = Instant::now();
            let activity = Activity::new(watcher.step_started(&step));
            let work = AssertUnwindSafe(hands.execute(&step, origin.as_ref(), &activity));
            // A bug that a hostile image or Dockerfile finds costs this step, not the loop.
            let work = work.catch_unwind().map(|ended| ended.unwrap_or_else(|_| Err(panicked())));
            let result = limits::bounded(&step.action, &activity, work).await;
            let took = started.elapsed();
            watcher.step_finished(&step, &result, took);
            (id, Finished { step, desired, result, took })
        })
    }
}

fn panicked() -> PortError {
    PortError::new(ErrorKind::Internal, "the step panicked")
        .with_hint("the log has the message; please report this bug")
}
