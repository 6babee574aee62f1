//! The clock of the host.

use homeostat_reconciler::ports::Clock;
use jiff::Timestamp;

/// The clock of the host.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
