//! Each blob is brought by one pull at a time; others wait, and find it there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use homeostat_image::Digest;
use tokio::sync::OwnedMutexGuard;

/// Who brings which blob.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else brings the blob.
    pub(crate) async fn take(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(digest).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(digest.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}
