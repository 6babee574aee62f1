//! Ending a build early.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells everybody who works for a build to stop. Clones are one and the same.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Apart from the actions: they, and who they wake, may ask.
    cancelled: AtomicBool,
    actions: Mutex<Actions>,
}

#[derive(Default)]
struct Actions {
    next: u64,
    by_number: BTreeMap<u64, Box<dyn Fn() + Send>>,
}

impl Cancel {
    /// Stops everybody. More than once is the same as once.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.actions().by_number.values().for_each(|action| action());
    }

    /// Whether it was said.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Has this done when it is said, at once if it was said already, as long as what is returned lives; twice at worst.
    /// The action must not wait for anybody, nor watch.
    pub fn watch(&self, action: impl Fn() + Send + 'static) -> Watching {
        let mut actions = self.actions();
        if self.is_cancelled() {
            action();
        }
        actions.next += 1;
        let number = actions.next;
        actions.by_number.insert(number, Box::new(action));
        Watching { cancel: self.clone(), number }
    }

    fn actions(&self) -> MutexGuard<'_, Actions> {
        self.0.actions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// What is done on [`Cancel::cancel`] is done no more when this is dropped.
#[must_use = "nothing is done once this is dropped"]
#[derive(Debug)]
pub struct Watching {
    cancel: Cancel,
    number: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.cancel.actions().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn an_action_is_done_while_it_is_watched() {
        let cancel = Cancel::default();
        let count = Arc::new(AtomicUsize::new(0));
        let add = |count: &Arc<AtomicUsize>| {
            let count = Arc::clone(count);
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        drop(cancel.watch(add(&count)));
        let watching = cancel.watch(add(&count));
        cancel.clone().cancel();
        assert_eq!((cancel.is_cancelled(), count.load(Ordering::SeqCst)), (true, 1));
        drop(watching);
        let late = cancel.watch(add(&count));
        assert_eq!(count.load(Ordering::SeqCst), 2);
        drop(late);
    }
}
