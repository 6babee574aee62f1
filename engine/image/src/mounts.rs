//! Who uses the directories that build steps keep from build to build.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::ImageStore;

/// How steps share such a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Any number of steps have it at a time.
    #[default]
    Shared,
    /// One step has it at a time; others have one more of their own.
    Private,
    /// One step has it at a time; others wait for it.
    Locked,
}

/// The directories that are in use: by name, and by number among those of one name.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    used: Mutex<HashMap<(String, usize), Use>>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Alone,
    Shared(usize),
}

impl Mounts {
    /// The number of a directory of this name for the caller, who gives it back by [`Mounts::leave`]; `None` when it was told
    /// to wait no more. `is_there` says which directories of the name exist.
    pub(crate) fn enter(
        &self,
        name: &str,
        sharing: Sharing,
        is_there: &dyn Fn(usize) -> bool,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Option<usize> {
        let mut used = self.used();
        let key = |number| (name.to_owned(), number);
        loop {
            if is_cancelled() {
                return None;
            }
            let count = used.keys().filter(|(own, _)| own == name).count();
            if sharing == Sharing::Shared
                && let Some(((_, number), Use::Shared(users))) =
                    used.iter_mut().find(|((own, _), used)| own == name && **used != Use::Alone)
            {
                *users += 1;
                return Some(*number);
            }
            // One more than are used: one of them is free.
            let free = (0..=used.len()).find(|number| !used.contains_key(&key(*number)))?;
            if sharing != Sharing::Locked || count == 0 || is_there(free) {
                used.insert(key(free), if sharing == Sharing::Shared { Use::Shared(1) } else { Use::Alone });
                return Some(free);
            }
            used = self.changed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The caller uses it no more.
    pub(crate) fn leave(&self, name: &str, number: usize) {
        let mut used = self.used();
        let key = (name.to_owned(), number);
        match used.get_mut(&key) {
            Some(Use::Shared(users)) if *users > 1 => *users -= 1,
            _ => drop(used.remove(&key)),
        }
        drop(used);
        self.wake();
    }

    fn wake(&self) {
        // Whoever is about to wait has looked before, or looks after, this.
        drop(self.used());
        self.changed.notify_all();
    }

    fn used(&self) -> MutexGuard<'_, HashMap<(String, usize), Use>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImageStore {
    /// Has all who wait for a directory ask again whether they are to wait; see [`ImageStore::cache_mount`].
    pub fn wake_cache_mounts(&self) {
        self.mounts().wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_mode_shares_as_it_says() {
        let mounts = Mounts::default();
        let enter = |sharing| mounts.enter("a", sharing, &|number| number == 0, &|| false);
        assert_eq!((enter(Sharing::Shared), enter(Sharing::Shared)), (Some(0), Some(0)));
        assert_eq!(enter(Sharing::Private), Some(1));
        mounts.leave("a", 0);
        mounts.leave("a", 1);
        assert_eq!(enter(Sharing::Private), Some(1));
        mounts.leave("a", 0);
        assert_eq!(enter(Sharing::Locked), Some(0));
        assert_eq!(enter(Sharing::Shared), Some(2));
        assert_eq!(mounts.enter("b", Sharing::Locked, &|_| false, &|| false), Some(0));
    }

    #[test]
    fn a_locked_one_is_waited_for_until_it_is_left_or_the_wait_is_called_off() {
        let mounts = Mounts::default();
        let enter = |is_cancelled: &dyn Fn() -> bool| {
            mounts.enter("a", Sharing::Locked, &|number| number == 0, is_cancelled)
        };
        assert_eq!(enter(&|| false), Some(0));
        assert_eq!(enter(&|| true), None);
        std::thread::scope(|scope| {
            let (sender, asked) = mpsc::channel();
            let waiting = scope.spawn(move || enter(&|| sender.send(()).is_err()));
            asked.recv_timeout(Duration::from_secs(30)).unwrap();
            mounts.leave("a", 0);
            assert_eq!(waiting.join().unwrap(), Some(0));
        });
    }
}
