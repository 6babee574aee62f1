//! Telling how a layer gets on.

use std::sync::atomic::{AtomicU64, Ordering};

use homeostat_reconciler::ports::Progress;

use crate::manifest::Blob;

/// Tells of one layer: a line for each tenth, as a log is no place for a bar.
pub(crate) struct Telling<'a> {
    progress: &'a dyn Progress,
    name: String,
    size: u64,
    tenth: AtomicU64,
}

impl<'a> Telling<'a> {
    pub(crate) fn new(progress: &'a dyn Progress, blob: &Blob) -> Self {
        let name = blob.digest.hex()[..12].to_owned();
        Self { progress, name, size: blob.size, tenth: AtomicU64::new(0) }
    }

    pub(crate) fn say(&self, what: &str) {
        self.progress.output(None, &format!("{}: {what}", self.name));
    }

    /// So much of it has come, or is gone.
    pub(crate) fn arrived(&self, bytes: u64) {
        let tenth = bytes.saturating_mul(10) / self.size.max(1);
        if self.tenth.swap(tenth, Ordering::Relaxed) != tenth {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            self.say(&format!("{} % of {} MiB", tenth * 10, mib(self.size)));
        }
    }
}
