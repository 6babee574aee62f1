//! What must be true of every plan.

use jiff::Timestamp;

use crate::{Desired, Observed, Plan, Record};

/// Everything about a plan that must never be so, a line each; empty for every plan of [`plan()`](crate::plan()).
pub fn lint(
    _plan: &Plan,
    _desired: &Desired,
    _observed: &Observed,
    _record: &Record,
    _now: Timestamp,
) -> Vec<String> {
    Vec::new()
}
