//! Metrics in Prometheus' text format.
//!
//! - [`Metrics`] counts what the agent did: reconciliations, steps, polls of the source, events.
//! - [`Metrics::render`] adds, from [`StatusInputs`], what is so at the moment of the scrape: apps, the plan, every
//!   container's state, and what containers use under the names that cAdvisor gave them, so that dashboards that exist
//!   work. That part is built anew each time: a container that is gone leaves no series behind.
//!
//! Names follow Prometheus' conventions: base units, `_total` for counters. No policy is here.

mod cadvisor;
mod events;
mod series;
mod status;

pub use events::{Metrics, Outcome};
pub use status::StatusInputs;

/// The HTTP `Content-Type` of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;
