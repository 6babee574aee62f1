//! The promises of the planner, a file each for plans, what holds of every plan, the record, the status,
//! the linter, and the host in memory that they are tested on.

#![allow(clippy::unwrap_used)] // Test helpers may fail as tests do.

mod abilities;
mod adoption;
mod by_hand;
mod fake;
mod lint;
mod plan;
mod properties;
mod prune;
mod pull;
mod record;
mod status;
mod support;
