//! Making metrics and registering them.

use prometheus::core::Collector;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

/// Bounds in seconds: from a look that finds nothing to do, to a build.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

const VALID: &str = "names and labels of metrics are literals that are valid and given once";

pub(crate) fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    registered(registry, GaugeVec::new(Opts::new(name, help), labels).expect(VALID))
}

pub(crate) fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> CounterVec {
    registered(registry, CounterVec::new(Opts::new(name, help), labels).expect(VALID))
}

pub(crate) fn histogram(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    registered(registry, HistogramVec::new(options, labels).expect(VALID))
}

fn registered<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> T {
    registry.register(Box::new(metric.clone())).expect(VALID);
    metric
}

/// A whole number as Prometheus has them: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus' values are 64-bit floats")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}
