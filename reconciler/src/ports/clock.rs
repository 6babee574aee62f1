//! The clock port.

use jiff::Timestamp;

/// Tells the time.
///
/// # Caveats
/// The time of a host may jump in either direction (a clock set late after boot, NTP);
/// callers only use it for back-off, history and messages, never for correctness.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}
