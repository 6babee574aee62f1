//! The time of the simulation: tokio's paused clock as a wall clock.

use homeostat_reconciler::ports::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

/// Starts at a fixed time and goes with tokio's clock.
pub(crate) struct VirtualClock {
    start: Instant,
}

impl VirtualClock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let epoch = Timestamp::from_second(1_800_000_000).expect("a time within the range");
        epoch.saturating_add(self.start.elapsed()).expect("a duration without calendar units")
    }
}
