//! From desired, observed and record to a plan.

use jiff::Timestamp;

use crate::{Desired, Observed, Plan, Record};

/// The steps that lead from observed to desired, and what has to wait.
pub fn plan(_desired: &Desired, _observed: &Observed, _record: &Record, _now: Timestamp) -> Plan {
    Plan::default()
}
