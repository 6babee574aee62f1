//! The time of the simulation: tokio's paused clock as a wall clock that somebody sets now and then.

use std::sync::{Mutex, PoisonError};

use homeostat_reconciler::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Starts at a fixed time and goes with tokio's clock.
pub(crate) struct VirtualClock {
    start: Instant,
    set_by: Mutex<SignedDuration>,
}

impl VirtualClock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), set_by: Mutex::default() }
    }

    /// Sets it forward, or back.
    pub(crate) fn set_by(&self, by: SignedDuration) {
        let mut sum = self.set_by.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = sum.saturating_add(by);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let epoch = Timestamp::from_second(1_800_000_000).expect("a time within the range");
        let set_by = *self.set_by.lock().unwrap_or_else(PoisonError::into_inner);
        let set = epoch.saturating_add(set_by).expect("a duration without calendar units");
        set.saturating_add(self.start.elapsed()).expect("a duration without calendar units")
    }
}
