//! What is being used must not be pruned.

use std::collections::{BTreeSet, HashMap};

use crate::{Digest, ImageStore};

/// While it lives, [`ImageStore::prune`] spares every image, layer and cache entry that the store gave out or took in
/// since the lease began.
///
/// A build holds one from before its first look into the store until its image is committed; the creation of a
/// container from before [`ImageStore::find`] until the container is recorded as a user of the image.
#[derive(Debug)]
#[must_use = "what is used is protected only while the lease lives"]
pub struct Lease {
    store: ImageStore,
    id: u64,
}

impl Lease {
    pub(crate) fn new(store: ImageStore) -> Self {
        let id = store.state().usage.begin(false);
        Self { store, id }
    }

    /// A lease on all that there is.
    pub(crate) fn of_everything(store: ImageStore) -> Self {
        let id = store.state().usage.begin(true);
        Self { store, id }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.state().usage.end(self.id);
    }
}

/// Who began when, and what was used when, in steps of a counter.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    clock: u64,
    leases: BTreeSet<u64>,
    /// Those that protect what nobody used yet, too.
    of_everything: BTreeSet<u64>,
    used: HashMap<Digest, u64>,
}

impl Usage {
    fn begin(&mut self, of_everything: bool) -> u64 {
        self.clock += 1;
        self.leases.insert(self.clock);
        if of_everything {
            self.of_everything.insert(self.clock);
        }
        self.clock
    }

    fn end(&mut self, id: u64) {
        self.leases.remove(&id);
        self.of_everything.remove(&id);
        if self.leases.is_empty() {
            self.used.clear();
        }
    }

    /// Notes that something is used now. Without a lease that is of no consequence.
    pub(crate) fn touch(&mut self, digest: &Digest) {
        if !self.leases.is_empty() {
            self.clock += 1;
            self.used.insert(digest.clone(), self.clock);
        }
    }

    /// Whether a lease that still lives may stand for a use of it.
    pub(crate) fn is_protected(&self, digest: &Digest) -> bool {
        if !self.of_everything.is_empty() {
            return true;
        }
        let Some(oldest) = self.leases.first() else { return false };
        self.used.get(digest).is_some_and(|used| used > oldest)
    }
}
