//! `/metrics` and `/readyz`: what the agent shows to monitoring.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use homeostat_metrics::{Metrics, Outcome, StatusInputs};
use homeostat_reconciler::ports::{Clock, Event, Progress, Pruned, Usage};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey, Step, chain};
use homeostat_spec::Diagnostic;

use crate::service::Service;
use crate::watcher::{LogWatcher, Watcher};

/// Prometheus waits for 10 s by default; without the engine's part it gets the rest.
const MEASURING: Duration = Duration::from_secs(5);

/// See the module's documentation.
pub struct Exposition {
    service: Service,
    metrics: Metrics,
}

impl Exposition {
    /// Shows what `service` knows and what `metrics` counted.
    pub fn new(service: Service, metrics: Metrics) -> Self {
        Self { service, metrics }
    }

    /// The text for Prometheus. What cannot be measured now is left out.
    pub async fn text(&self) -> String {
        let Ok(view) = self.service.view().await else { return String::new() };
        let engine = self.service.engine.info();
        let report = view.status(&engine);
        let synced = report.apps.iter().map(|app| (app.name.clone(), app.synced)).collect();
        let engine_up = view.engine_error.is_none();
        let usage = if engine_up { self.usage().await } else { BTreeMap::new() };
        self.metrics.render(&StatusInputs {
            now: self.service.clock.now(),
            engine: &engine,
            engine_up,
            observed: &view.observed,
            record: &view.record,
            plan: &view.plan,
            synced: &synced,
            usage: &usage,
        })
    }

    async fn usage(&self) -> BTreeMap<ResourceKey, Usage> {
        let silent = |_| PortError::new(ErrorKind::Transient, format!("no answer within {MEASURING:?}"));
        let measured = tokio::time::timeout(MEASURING, self.service.engine.usage()).await.map_err(silent);
        measured.flatten().unwrap_or_else(|error| {
            tracing::warn!("use of resources cannot be measured: {}", chain(&error));
            BTreeMap::new()
        })
    }

    /// Why the agent is not ready: it has not looked yet, or it cannot see its engine or source.
    pub fn not_ready(&self) -> Option<String> {
        let Some(agent) = &self.service.agent else { return Some("no agent runs".to_owned()) };
        match agent.view.borrow().as_ref() {
            None => Some("the first look is not done".to_owned()),
            Some(view) => match &view.engine_error {
                Some(trouble) => Some(format!("the engine cannot be seen: {trouble}")),
                None => (!view.seen).then(|| "the engine has not answered yet".to_owned()),
            },
        }
    }
}

/// Logs and counts what the agent does.
pub struct AgentWatcher {
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

impl AgentWatcher {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        Self { metrics, clock }
    }
}

impl Watcher for AgentWatcher {
    fn step_started(&self, step: &Step) -> Box<dyn Progress> {
        LogWatcher.step_started(step)
    }

    fn step_finished(&self, step: &Step, result: &Result<(), PortError>, took: Duration) {
        self.metrics.step_executed(&step.action, result.into(), took);
        LogWatcher.step_finished(step, result, took);
    }

    fn event(&self, event: &Event) {
        self.metrics.event_recorded(event.kind);
        LogWatcher.event(event);
    }

    fn looked(&self, ok: bool, took: Duration) {
        let outcome = if ok { Outcome::Success } else { Outcome::Error };
        self.metrics.reconcile_finished(outcome, took);
        if !ok {
            self.metrics.engine_failed();
        }
    }

    fn source_read(&self, read: Result<(&str, &[Diagnostic]), &PortError>) {
        match read {
            Ok((revision, diagnostics)) => {
                self.metrics.source_read(self.clock.now());
                self.metrics.revision_compiled(revision, diagnostics);
            }
            Err(_) => self.metrics.source_failed(),
        }
    }

    fn pruned(&self, pruned: &Pruned) {
        self.metrics.pruned(pruned);
    }

    fn store_failed(&self) {
        self.metrics.store_failed();
    }
}
