//! The same step in stages that are built side by side: it is made once.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use homeostat_image::CacheEntry;

/// What the steps of one build made, and which of them go on.
#[derive(Default)]
pub(crate) struct Running {
    steps: Mutex<HashMap<String, Step>>,
    ended: Condvar,
}

enum Step {
    GoesOn,
    Made(CacheEntry),
}

/// What there is of a step that is about to begin.
pub(crate) enum Entered<'a> {
    /// It was made in this very build.
    Made(CacheEntry),
    /// Nobody has made it: it is for whoever has this.
    Turn(Turn<'a>),
}

impl Running {
    /// Waits as long as the step with this key goes on elsewhere.
    pub(crate) fn enter(&self, key: &str) -> Entered<'_> {
        let mut steps = self.steps();
        loop {
            match steps.get(key) {
                Some(Step::Made(entry)) => return Entered::Made(entry.clone()),
                Some(Step::GoesOn) => {
                    steps = self.ended.wait(steps).unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    steps.insert(key.to_owned(), Step::GoesOn);
                    return Entered::Turn(Turn { running: self, key: key.to_owned() });
                }
            }
        }
    }

    fn steps(&self) -> MutexGuard<'_, HashMap<String, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make a step. When it is dropped without success the next one has it.
pub(crate) struct Turn<'a> {
    running: &'a Running,
    key: String,
}

impl Turn<'_> {
    /// The step was made, and came to this.
    pub(crate) fn made(self, entry: &CacheEntry) {
        self.running.steps().insert(self.key.clone(), Step::Made(entry.clone()));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut steps = self.running.steps();
        if matches!(steps.get(&self.key), Some(Step::GoesOn)) {
            steps.remove(&self.key);
        }
        drop(steps);
        self.running.ended.notify_all();
    }
}
