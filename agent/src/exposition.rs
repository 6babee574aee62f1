//! `/metrics` and `/readyz`: what the agent shows to monitoring.

use std::collections::BTreeMap;

use homeostat_metrics::Metrics;

use crate::service::Service;

/// See the module's documentation.
pub struct Exposition {
    service: Service,
    /// Counters and histograms, filled while the agent works.
    pub metrics: Metrics,
}
