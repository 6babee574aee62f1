//! When to try something again that failed.

use std::time::Duration;

use tokio::time::Instant;

/// Doubling delays between attempts.
pub struct Retry {
    first: Duration,
    longest: Duration,
    delay: Duration,
    due: Option<Instant>,
}

impl Retry {
    /// The first delay, and the one that is not exceeded.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, delay: first, due: None }
    }

    /// It worked: nothing to try again.
    pub fn succeeded(&mut self) {
        self.delay = self.first;
        self.due = None;
    }

    /// It failed: try again after the next delay, which is returned.
    pub fn failed(&mut self) -> Duration {
        let delay = self.delay;
        self.due = Some(Instant::now() + delay);
        self.delay = (delay * 2).min(self.longest);
        delay
    }

    /// When to try again, if it failed.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the time to try again has come. It comes once for each failure.
    pub fn take_due(&mut self) -> bool {
        let is_due = self.due.is_some_and(|due| due <= Instant::now());
        if is_due {
            self.due = None;
        }
        is_due
    }
}
