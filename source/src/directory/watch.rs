//! Firing when a directory may have changed.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::watcher::{Coverage, DirectoryWatcher};

/// How long nothing must happen before a change is told.
const QUIET: Duration = Duration::from_millis(50);

/// How long a change is kept back when things go on happening.
const LONGEST: Duration = Duration::from_secs(1);

/// How often a directory that does not exist is looked for.
const MISSING: Duration = Duration::from_secs(2);

/// How often a directory that cannot be watched may have changed.
const UNWATCHED: Duration = Duration::from_secs(30);

/// A stream that fires after changes in the directory, or of the directory that the path leads to.
///
/// Watches are set when this returns, and again before each firing: what changes after a
/// consumer has looked fires again.
pub(super) fn changes(path: PathBuf) -> BoxStream<'static, ()> {
    let (sender, events) = mpsc::channel(1);
    let watcher = DirectoryWatcher::new(path, sender);
    stream::unfold(Some(Watch { watcher, events }), |watch| async move {
        let mut watch = watch?;
        watch.fired().await;
        let watch = watch.renewed().await?;
        Some(((), Some(watch)))
    })
    .boxed()
}

struct Watch {
    watcher: DirectoryWatcher,
    /// Holds at most one: that something happened.
    events: mpsc::Receiver<()>,
}

impl Watch {
    async fn fired(&mut self) {
        loop {
            let idle = async {
                match self.watcher.coverage() {
                    Coverage::Full => pending().await,
                    Coverage::Missing => sleep(MISSING).await,
                    Coverage::Partial => sleep(UNWATCHED).await,
                }
            };
            tokio::select! {
                Some(()) = self.events.recv() => break self.settled().await,
                () = idle => {}
            }
            // Not there yet: nothing to tell, look again later.
            if self.watcher.coverage() != Coverage::Missing || self.watcher.exists() {
                break;
            }
        }
    }

    /// Waits for the end of a burst, but not forever.
    async fn settled(&mut self) {
        let latest = Instant::now() + LONGEST;
        let burst = async { while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {} };
        // Elapsed: the burst goes on, and the next firing will tell of the rest.
        let _ = timeout_at(latest, burst).await;
    }

    /// Watches again, on a thread that may wait for the disk. `None` when the runtime is shutting down.
    async fn renewed(mut self) -> Option<Self> {
        tokio::task::spawn_blocking(move || {
            self.watcher.renew();
            self
        })
        .await
        .ok()
    }
}
