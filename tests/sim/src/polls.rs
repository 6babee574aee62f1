//! Counts how often a future is woken.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a future was polled.
#[derive(Clone, Default)]
pub(crate) struct Polls(Arc<AtomicU64>);

impl Polls {
    /// So often, until now.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same future, counted.
pub(crate) fn counted<F: Future>(future: F) -> (impl Future<Output = F::Output>, Polls) {
    let polls = Polls::default();
    let count = polls.clone();
    let mut future = Box::pin(future);
    let counted = std::future::poll_fn(move |context| {
        count.0.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(context)
    });
    (counted, polls)
}
