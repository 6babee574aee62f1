//! Prunes by itself, as the policy says: when the interval has passed and nothing else is to do, and when the disk may
//! have become too full.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{Engine, PruneRequest, Pruned};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::retry::Retry;
use crate::timing::duration_between;

/// Time between two looks at the disk at least. Nothing wakes for one: it comes with what else happens.
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

/// Why there is a prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Occasion {
    /// The interval has passed.
    Interval,
    /// The disk may have become too full.
    Disk,
}

/// See the module's documentation.
pub(crate) struct Pruner {
    engine: Arc<dyn Engine>,
    running: Option<(Occasion, BoxFuture<'static, Result<Pruned, PortError>>)>,
    /// When the disk was last looked at.
    looked: Option<Instant>,
    /// When the next prune is due, and the interval and the time of the last one that this follows from. Noted by the
    /// clock that nobody sets: if the host's is set back by a year, no prune waits for a year.
    next: Option<(Duration, Option<Timestamp>, Instant)>,
    retry: Retry,
}

impl Pruner {
    /// One that has nothing to do.
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let retry = Retry::new(Duration::from_mins(1), Duration::from_hours(1));
        Self { engine, running: None, looked: None, next: None, retry }
    }

    /// From now on there is a prune whenever the interval has passed since the last one, or none at all.
    pub(crate) fn follow(&mut self, interval: Option<Duration>, last: Option<Timestamp>, now: Timestamp) {
        let Some(interval) = interval else {
            self.next = None;
            return;
        };
        if self.next.is_some_and(|(known, since, _)| (known, since) == (interval, last)) {
            return;
        }
        let until = last.and_then(|last| last.checked_add(interval).ok());
        let wait = until.map_or(Duration::ZERO, |until| duration_between(now, until).min(interval));
        self.next = Some((interval, last, Instant::now() + wait));
    }

    /// When the next prune is due; after one that failed, when it is tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (_, _, due) = self.next.filter(|_| self.running.is_none())?;
        Some(self.retry.due().map_or(due, |again| again.max(due)))
    }

    /// Whether it is time for a look at the disk.
    pub(crate) fn may_look(&self) -> bool {
        self.running.is_none() && self.looked.is_none_or(|looked| looked.elapsed() >= BETWEEN_LOOKS)
    }

    /// Begins with a prune.
    pub(crate) fn start(&mut self, occasion: Occasion, request: PruneRequest) {
        if occasion == Occasion::Disk {
            self.looked = Some(Instant::now());
        }
        let engine = self.engine.clone();
        self.running = Some((occasion, Box::pin(async move { engine.prune(&request).await })));
    }

    /// Waits for the prune to end; forever when none goes on.
    pub(crate) async fn next(&mut self) -> (Occasion, Result<Pruned, PortError>) {
        let Some((occasion, running)) = &mut self.running else { return std::future::pending().await };
        let (occasion, result) = (*occasion, running.await);
        self.running = None;
        match &result {
            _ if occasion == Occasion::Disk => {}
            Ok(_) => {
                self.retry.succeeded();
                // With a clock that was set back, this one may seem to have been at the time of the one before.
                self.next = None;
            }
            Err(_) => {
                self.retry.failed();
            }
        }
        (occasion, result)
    }
}
