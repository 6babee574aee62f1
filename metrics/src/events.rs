//! What the agent did since it was started.

use std::time::Duration;

use homeostat_reconciler::Action;
use homeostat_reconciler::ports::{EventKind, Pruned};
use homeostat_spec::{Diagnostic, PruneKind, Severity};
use jiff::Timestamp;
use prometheus::{CounterVec, GaugeVec, HistogramVec, Registry, TextEncoder};

use crate::series::{counter, gauge, histogram, number};
use crate::{StatusInputs, cadvisor, status};

/// How something that was attempted ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything was done.
    Success,
    /// Something failed.
    Error,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

impl<T, E> From<&Result<T, E>> for Outcome {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::Error }
    }
}

/// Counts what the agent did, and writes all metrics. Cheap to clone; clones share their counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconcile_duration: HistogramVec,
    reconciles: CounterVec,
    step_duration: HistogramVec,
    steps: CounterVec,
    source_polls: CounterVec,
    source_last_success: GaugeVec,
    revision: GaugeVec,
    diagnostics: GaugeVec,
    engine_errors: CounterVec,
    store_errors: CounterVec,
    store_rebuilds: CounterVec,
    events: CounterVec,
    pruned_bytes: CounterVec,
    pruned_items: CounterVec,
}

impl Metrics {
    /// With all counts zero. The version is that of homeostat.
    pub fn new(version: &str) -> Self {
        let registry = Registry::new();
        gauge(&registry, "homeostat_build_info", "Always 1; the version is a label.", &["version"])
            .with_label_values(&[version])
            .set(1.0);
        let metrics = Self::with_registry(registry);
        metrics.set_zero();
        metrics
    }

    fn with_registry(registry: Registry) -> Self {
        let r = &registry;
        Self {
            reconcile_duration: histogram(
                r,
                "homeostat_reconcile_duration_seconds",
                "How long reconciliations took, from the first observation to an empty plan or one that waits.",
                &[],
            ),
            reconciles: counter(r, "homeostat_reconcile_total", "Reconciliations, by result.", &["result"]),
            step_duration: histogram(
                r,
                "homeostat_step_duration_seconds",
                "How long steps of plans took, by action.",
                &["action"],
            ),
            steps: counter(
                r,
                "homeostat_steps_total",
                "Steps of plans, by action and result.",
                &["action", "result"],
            ),
            source_polls: counter(
                r,
                "homeostat_source_polls_total",
                "Looks at the source, by result.",
                &["result"],
            ),
            source_last_success: gauge(
                r,
                "homeostat_source_last_success_timestamp_seconds",
                "When the source was last read, in seconds since 1970.",
                &[],
            ),
            revision: gauge(
                r,
                "homeostat_source_revision_info",
                "Always 1; the revision that was last compiled is a label.",
                &["revision"],
            ),
            diagnostics: gauge(
                r,
                "homeostat_spec_diagnostics",
                "Findings in the spec files of the last revision, by severity.",
                &["severity"],
            ),
            engine_errors: counter(
                r,
                "homeostat_engine_errors_total",
                "Looks at the engine that failed: it could not be seen what there is.",
                &[],
            ),
            store_errors: counter(r, "homeostat_store_errors_total", "Writes to the store that failed.", &[]),
            store_rebuilds: counter(
                r,
                "homeostat_store_rebuilds_total",
                "How often the store could not be read and was started anew.",
                &[],
            ),
            events: counter(r, "homeostat_events_total", "Events, by kind.", &["kind"]),
            pruned_bytes: counter(
                r,
                "homeostat_pruned_bytes_total",
                "Disk space that prunes have freed in bytes, by what was removed.",
                &["kind"],
            ),
            pruned_items: counter(
                r,
                "homeostat_pruned_items_total",
                "What prunes have removed, by kind.",
                &["kind"],
            ),
            registry,
        }
    }

    /// Lets every series that is known beforehand begin at zero, so that the first increase is seen as one.
    fn set_zero(&self) {
        for outcome in [Outcome::Success, Outcome::Error] {
            self.reconciles.with_label_values(&[outcome.label()]);
            self.source_polls.with_label_values(&[outcome.label()]);
        }
        for kind in EventKind::ALL {
            self.events.with_label_values(&[event_label(kind)]);
        }
        for kind in PruneKind::ALL {
            self.pruned_bytes.with_label_values(&[kind.name()]);
            self.pruned_items.with_label_values(&[kind.name()]);
        }
        let none: [&str; 0] = [];
        self.reconcile_duration.with_label_values(&none);
        self.engine_errors.with_label_values(&none);
        self.store_errors.with_label_values(&none);
        self.store_rebuilds.with_label_values(&none);
        self.set_diagnostics(&[]);
    }

    /// A reconciliation ended.
    pub fn reconcile_finished(&self, outcome: Outcome, duration: Duration) {
        self.reconciles.with_label_values(&[outcome.label()]).inc();
        let none: [&str; 0] = [];
        self.reconcile_duration.with_label_values(&none).observe(duration.as_secs_f64());
    }

    /// A step of a plan was executed.
    pub fn step_executed(&self, action: &Action, outcome: Outcome, duration: Duration) {
        self.steps.with_label_values(&[action.verb(), outcome.label()]).inc();
        self.step_duration.with_label_values(&[action.verb()]).observe(duration.as_secs_f64());
    }

    /// The source was read, at this time.
    pub fn source_read(&self, now: Timestamp) {
        self.source_polls.with_label_values(&[Outcome::Success.label()]).inc();
        let none: [&str; 0] = [];
        self.source_last_success.with_label_values(&none).set(now.as_duration().as_secs_f64());
    }

    /// The source could not be read.
    pub fn source_failed(&self) {
        self.source_polls.with_label_values(&[Outcome::Error.label()]).inc();
    }

    /// A revision was compiled. The one before it is forgotten.
    pub fn revision_compiled(&self, revision: &str, diagnostics: &[Diagnostic]) {
        self.revision.reset();
        self.revision.with_label_values(&[revision]).set(1.0);
        self.set_diagnostics(diagnostics);
    }

    /// A look at the engine failed.
    pub fn engine_failed(&self) {
        let none: [&str; 0] = [];
        self.engine_errors.with_label_values(&none).inc();
    }

    /// A write to the store failed.
    pub fn store_failed(&self) {
        let none: [&str; 0] = [];
        self.store_errors.with_label_values(&none).inc();
    }

    /// The store could not be read and was started anew.
    pub fn store_rebuilt(&self) {
        let none: [&str; 0] = [];
        self.store_rebuilds.with_label_values(&none).inc();
    }

    /// An event was recorded.
    pub fn event_recorded(&self, kind: EventKind) {
        self.events.with_label_values(&[event_label(kind)]).inc();
    }

    /// What nobody needed was removed.
    pub fn pruned(&self, pruned: &Pruned) {
        for (kind, (items, bytes)) in pruned.by_kind() {
            self.pruned_items.with_label_values(&[kind.name()]).inc_by(number(items));
            self.pruned_bytes.with_label_values(&[kind.name()]).inc_by(number(bytes));
        }
    }

    /// All metrics in Prometheus' text format (version 0.0.4), sorted by name.
    #[expect(clippy::missing_panics_doc, reason = "what would panic cannot happen, as its text says")]
    pub fn render(&self, status: &StatusInputs<'_>) -> String {
        let scrape = Registry::new();
        status::collect(&scrape, status);
        cadvisor::collect(&scrape, status);
        let mut families = self.registry.gather();
        families.extend(scrape.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("gathered families have a name and a metric each, and a string takes all that is written")
    }

    fn set_diagnostics(&self, diagnostics: &[Diagnostic]) {
        for (severity, label) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let count = diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
            self.diagnostics.with_label_values(&[label]).set(number(count as u64));
        }
    }
}

fn event_label(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Revision => "revision",
        EventKind::Applied => "applied",
        EventKind::Failed => "failed",
        EventKind::Exited => "exited",
        EventKind::Restarting => "restarting",
        EventKind::Health => "health",
        EventKind::Source => "source",
        EventKind::Pruned => "pruned",
        EventKind::Lost => "lost",
        EventKind::Agent => "agent",
    }
}
