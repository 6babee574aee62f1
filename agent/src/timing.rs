//! Between the wall clock, which plans are made with, and the one that the loop sleeps by.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The time from `now` to `time`, nothing if that is past.
pub(crate) fn duration_between(now: Timestamp, time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or_default()
}

/// Sleeps until then; forever when there is no time.
pub(crate) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
