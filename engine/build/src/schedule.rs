//! Stages side by side: each as soon as those that it needs are done.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, Scope};

use crate::configuration::State;
use crate::isolation::leave_mount_namespace;
use crate::{BuildError, Cancel};

/// As many stages are built at a time at least: commands wait for networks and disks, too.
const AT_ONCE: usize = 4;

/// What stages came to, by their places.
pub(crate) type Done = BTreeMap<usize, Arc<State>>;

/// A stage that is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needed {
    /// Its place in the file.
    pub(crate) place: usize,
    /// The places of the stages that it needs.
    pub(crate) on: BTreeSet<usize>,
    /// The number of its first step.
    pub(crate) first: usize,
}

/// Builds stages, each on a thread with a mount namespace of its own. After the first that fails no other begins, and
/// those that go on are told to stop; all have ended when this returns.
pub(crate) fn build_stages(
    waiting: Vec<Needed>,
    cancel: &Cancel,
    build: &(dyn Fn(&Needed, Done) -> Result<State, BuildError> + Sync),
) -> Result<Done, BuildError> {
    let (sender, ended) = mpsc::channel();
    let limit = thread::available_parallelism().map_or(AT_ONCE, NonZero::get).max(AT_ONCE);
    let mut schedule = Schedule { waiting, done: Done::new(), failure: None, running: 0, limit };
    thread::scope(|scope| {
        loop {
            schedule.begin_ready(scope, &sender, build);
            if schedule.failure.is_some() {
                // Those that are ended by it say no more than that; the first error is the cause.
                cancel.cancel();
            }
            if schedule.running == 0 {
                break;
            }
            let (place, result) = ended.recv().expect("a sender is kept here");
            schedule.running -= 1;
            match result {
                Ok(Ok(state)) => drop(schedule.done.insert(place, Arc::new(state))),
                Ok(Err(error)) => drop(schedule.failure.get_or_insert(error)),
                Err(panic) => {
                    cancel.cancel();
                    resume_unwind(panic);
                }
            }
        }
    });
    schedule.failure.map_or(Ok(schedule.done), Err)
}

struct Schedule {
    waiting: Vec<Needed>,
    done: Done,
    failure: Option<BuildError>,
    running: usize,
    limit: usize,
}

/// The place of a stage, and what came of it or how it panicked.
type Ended = (usize, thread::Result<Result<State, BuildError>>);

impl Schedule {
    fn begin_ready<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &mpsc::Sender<Ended>,
        build: &'scope (dyn Fn(&Needed, Done) -> Result<State, BuildError> + Sync),
    ) {
        while self.failure.is_none() && self.running < self.limit {
            let is_ready = |stage: &Needed| stage.on.iter().all(|place| self.done.contains_key(place));
            let Some(next) = self.waiting.iter().position(is_ready) else { return };
            let (stage, done, sender) = (self.waiting.remove(next), self.done.clone(), sender.clone());
            let work = move || {
                let result = catch_unwind(AssertUnwindSafe(|| {
                    leave_mount_namespace().map_err(BuildError::Isolation)?;
                    build(&stage, done)
                }));
                // The receiver is there until all have ended.
                let _ = sender.send((stage.place, result));
            };
            match thread::Builder::new().name("build".to_owned()).spawn_scoped(scope, work) {
                Ok(_) => self.running += 1,
                Err(error) => self.failure = Some(BuildError::Isolation(error)),
            }
        }
    }
}
