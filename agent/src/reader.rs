//! Reads the source, one reading at a time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};

/// See the module's documentation.
pub struct Reader {
    source: Arc<dyn Source>,
    reading: Option<BoxFuture<'static, Result<Snapshot, PortError>>>,
    again: bool,
}

impl Reader {
    /// A reader at rest.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source, reading: None, again: false }
    }

    /// Reads the source; once more after the reading that is under way, which may have missed the change.
    pub fn request(&mut self) {
        if self.reading.is_some() {
            self.again = true;
            return;
        }
        let source = self.source.clone();
        self.reading = Some(Box::pin(async move {
            // A bug that a hostile repository finds costs this reading, not the loop.
            AssertUnwindSafe(source.snapshot()).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
        }));
    }

    /// A reading is under way.
    pub fn is_busy(&self) -> bool {
        self.reading.is_some()
    }

    /// Waits for the reading that is under way; forever when there is none.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn next(&mut self) -> Result<Snapshot, PortError> {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let snapshot = reading.await;
        self.reading = None;
        if std::mem::take(&mut self.again) {
            self.request();
        }
        snapshot
    }
}

fn panicked() -> PortError {
    PortError::new(ErrorKind::Internal, "reading the source panicked")
        .with_hint("the log has the message; please report this bug")
}
