//! Remembers the digests of files that did not change.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// SHA-256.
pub(super) type Digest = [u8; 32];

/// How long a file must have been left alone before its digest is remembered: a second write within one tick
/// of the file system's clock leaves the times as they are. FAT counts in steps of two seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells one content of one file from another: all but the bytes themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    mode: u32,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl From<&Stat> for Identity {
    // The field types of `stat` differ between architectures.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            mode: stat.st_mode as u32,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }
}

impl Identity {
    fn is_settled(&self) -> bool {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return false };
        let newest = self.changed.max(self.modified);
        let newest = Duration::new(newest.0.try_into().unwrap_or(0), newest.1.try_into().unwrap_or(0));
        now.checked_sub(newest).is_some_and(|age| age > SETTLED)
    }
}

/// Digests by identity. What was not asked for in two generations is forgotten.
#[derive(Default)]
pub(super) struct DigestCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    current: HashMap<Identity, Digest>,
    previous: HashMap<Identity, Digest>,
}

impl DigestCache {
    /// A new snapshot: what only the one before last needed goes.
    pub(super) fn next_generation(&self) {
        let mut generations = self.lock();
        if !generations.current.is_empty() {
            generations.previous = mem::take(&mut generations.current);
        }
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<Digest> {
        let mut generations = self.lock();
        let found =
            generations.current.get(identity).or_else(|| generations.previous.get(identity)).copied()?;
        generations.current.insert(*identity, found);
        Some(found)
    }

    pub(super) fn put(&self, identity: Identity, digest: Digest) {
        if identity.is_settled() {
            self.lock().current.insert(identity, digest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // A panic elsewhere cannot leave a wrong digest: each is inserted whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
