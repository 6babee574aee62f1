//! How long to wait before trying again.
//!
//! Delays double up to [`LONGEST`]. Each is shifted by up to a tenth in either direction, by an
//! amount that follows from the resource, the attempt and the node's seed: the same input gives the same
//! delay, and yet many resources or nodes that failed at one moment do not try again at one moment.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{ErrorKind, ResourceId};

/// No delay is longer, but for jitter. Kubernetes' kubelet ends at the same.
pub(crate) const LONGEST: Duration = Duration::from_mins(5);

/// A run that ends sooner was too short to show that the container works.
///
/// Docker's figure. The kubelet asks for 10 minutes, so that a service that works for nine minutes and then
/// fails ends up down for five minutes out of fourteen. Nobody is there to see to an unattended
/// device: a run that did some work is worth another one at once.
pub(crate) const SHORT_RUN: Duration = Duration::from_secs(10);

const FIRST_RESTART: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The same input gives the same error, but what the host or a registry says may still change.
const FIRST_RETRY_OF_LASTING_ERROR: Duration = Duration::from_secs(10);

/// From the end of a run to the next start, after so many short runs in a row.
pub(crate) fn restart_delay(seed: u64, container: &ResourceId, short_runs: u32) -> Duration {
    match short_runs.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => jittered(doubled(FIRST_RESTART, doublings), seed, container, short_runs),
    }
}

/// From a failed attempt to the next, after so many failures in a row (at least one).
pub(crate) fn retry_delay(seed: u64, resource: &ResourceId, kind: ErrorKind, attempts: u32) -> Duration {
    let first = match kind {
        ErrorKind::Transient | ErrorKind::Internal => FIRST_RETRY,
        ErrorKind::User | ErrorKind::Config | ErrorKind::Terminal => FIRST_RETRY_OF_LASTING_ERROR,
    };
    jittered(doubled(first, attempts.saturating_sub(1)), seed, resource, attempts)
}

/// Whether a moment has come. One that lies further ahead than any delay reaches was noted before the
/// clock was set back, and has come too.
pub(crate) fn is_due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at > later(now, LONGEST + LONGEST / 10)
}

/// `at` plus `delay`.
pub(crate) fn later(at: Timestamp, delay: Duration) -> Timestamp {
    at.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

fn doubled(first: Duration, doublings: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST)
}

/// `delay` times a factor from 0.9 to 1.1.
fn jittered(delay: Duration, seed: u64, resource: &ResourceId, attempt: u32) -> Duration {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(attempt.to_be_bytes());
    hasher.update(resource.to_string());
    let digest = hasher.finalize();
    let shift = u32::from(u16::from_be_bytes([digest[0], digest[1]]));
    delay * 9 / 10 + delay / 5 * shift / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(key: &str) -> ResourceId {
        ResourceId::container(&key.parse().unwrap())
    }

    fn about(delay: Duration, expected: Duration) -> bool {
        delay >= expected * 9 / 10 && delay <= expected * 11 / 10
    }

    #[test]
    fn the_first_short_run_costs_nothing_and_then_delays_double_up_to_five_minutes() {
        let key = container("web/web");
        assert_eq!(restart_delay(0, &key, 0), Duration::ZERO);
        assert_eq!(restart_delay(0, &key, 1), Duration::ZERO);
        for (short_runs, millis) in
            [(2, 100), (3, 200), (4, 400), (13, 204_800), (14, 300_000), (u32::MAX, 300_000)]
        {
            let delay = restart_delay(0, &key, short_runs);
            assert!(about(delay, Duration::from_millis(millis)), "{short_runs}: {delay:?}");
        }
    }

    #[test]
    fn an_error_that_lasts_is_tried_again_later_than_one_that_may_go_away() {
        let key = container("web/web");
        for (kind, attempts, seconds) in [
            (ErrorKind::Transient, 1, 1),
            (ErrorKind::Transient, 4, 8),
            (ErrorKind::User, 1, 10),
            (ErrorKind::Terminal, 3, 40),
            (ErrorKind::Internal, 100, 300),
        ] {
            let delay = retry_delay(0, &key, kind, attempts);
            assert!(about(delay, Duration::from_secs(seconds)), "{kind:?} {attempts}: {delay:?}");
        }
    }

    #[test]
    fn delays_differ_between_resources_and_nodes_and_are_the_same_every_time() {
        let delay = |seed, key| retry_delay(seed, &container(key), ErrorKind::Transient, 9);
        assert_eq!(delay(7, "web/web"), delay(7, "web/web"));
        assert_ne!(delay(7, "web/web"), delay(8, "web/web"));
        assert_ne!(delay(7, "web/web"), delay(7, "web/db"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stretch_a_delay() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(is_due(now, now));
        assert!(!is_due(later(now, Duration::from_secs(1)), now));
        assert!(!is_due(later(now, LONGEST), now));
        assert!(is_due(later(now, Duration::from_hours(1)), now));
    }
}
