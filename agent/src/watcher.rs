//! Is told what the agent does, for the log or for a terminal.

use std::time::Duration;

use homeostat_reconciler::ports::{Event, EventKind, Progress, ProgressStep, Pruned};
use homeostat_reconciler::{PortError, Step, chain};
use homeostat_spec::Diagnostic;

use crate::render::resource;

/// Is told what the agent does. Never fails and never blocks for long.
pub trait Watcher: Send + Sync {
    /// A step begins; the result is told how it goes on inside.
    fn step_started(&self, step: &Step) -> Box<dyn Progress>;
    /// A step has ended.
    fn step_finished(&self, step: &Step, result: &Result<(), PortError>, took: Duration);
    /// Something happened, a step included.
    fn event(&self, event: &Event);
    /// The loop looked: observed and planned, in this time. `ok` is false when the engine could not be seen.
    fn looked(&self, _ok: bool, _took: Duration) {}
    /// The source was read, or could not be; the diagnostics are those of its specs.
    fn source_read(&self, _read: Result<(&str, &[Diagnostic]), &PortError>) {}
    /// What nobody needed was removed.
    fn pruned(&self, _pruned: &Pruned) {}
    /// What the agent remembers could not be saved.
    fn store_failed(&self) {}
}

/// Writes to the agent's own log.
pub struct LogWatcher;

impl Watcher for LogWatcher {
    fn step_started(&self, step: &Step) -> Box<dyn Progress> {
        Box::new(LogProgress { resource: resource(step) })
    }

    fn step_finished(&self, step: &Step, result: &Result<(), PortError>, took: Duration) {
        let (verb, resource, ms) = (step.action.verb(), resource(step), took.as_millis());
        match result {
            Ok(()) => tracing::info!(%resource, ms, "{verb}"),
            Err(error) => {
                tracing::error!(%resource, ms, hint = error.hint, error = chain(error), "{verb} failed");
            }
        }
    }

    fn event(&self, event: &Event) {
        let resource = event.resource.as_ref().map(ToString::to_string);
        let message = &event.message;
        match event.kind {
            // Steps are logged when they end.
            EventKind::Applied | EventKind::Failed => {}
            EventKind::Source | EventKind::Lost => tracing::warn!(resource, "{message}"),
            EventKind::Revision
            | EventKind::Exited
            | EventKind::Restarting
            | EventKind::Health
            | EventKind::Pruned
            | EventKind::Agent => {
                tracing::info!(resource, "{message}");
            }
        }
    }
}

/// Puts the output of builds into the log.
struct LogProgress {
    resource: String,
}

impl Progress for LogProgress {
    fn step(&self, step: &ProgressStep) {
        tracing::info!(resource = self.resource, "{step}");
    }

    fn cached(&self, step: usize) {
        tracing::debug!(resource = self.resource, step, "cached");
    }

    fn missed(&self, step: usize, cause: &str) {
        tracing::info!(resource = self.resource, step, "missed: {cause}");
    }

    fn output(&self, step: Option<usize>, line: &str) {
        tracing::debug!(resource = self.resource, step, "{line}");
    }
}
