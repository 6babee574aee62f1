//! What the loop knows, published for whoever asks: the socket API, metrics, the command line.

use std::collections::BTreeSet;
use std::sync::Arc;

use homeostat_reconciler::ports::EngineInfo;
use homeostat_reconciler::{Desired, Observed, Plan, Record, ResourceKey, StatusReport};
use homeostat_spec::Diagnostic;
use jiff::Timestamp;

use crate::engine_watch::EngineTrouble;

/// What the loop knew when it last looked. Cheap to clone.
#[derive(Clone)]
pub struct View {
    /// What the specs ask for.
    pub desired: Arc<Desired>,
    /// What there was.
    pub observed: Arc<Observed>,
    /// What is remembered.
    pub record: Arc<Record>,
    /// What had to be done.
    pub plan: Arc<Plan>,
    /// What is wrong with the specs.
    pub diagnostics: Arc<Vec<Diagnostic>>,
    /// The source.
    pub source: SourceView,
    /// Why the engine could not be looked at, if it could not; then `observed` and `plan` are older than the rest.
    pub engine_error: Option<EngineTrouble>,
    /// The version of what was asked for by hand that `desired` has and `plan` was made for.
    pub by_hand: u64,
    /// The engine was seen since the start; until it was, `observed` says nothing.
    pub seen: bool,
    /// Nothing is under way, and nothing will change unless something happens or a failed step is tried again.
    pub settled: bool,
    /// When this was.
    pub time: Timestamp,
}

/// How it stands with the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceView {
    /// Path or URL.
    pub description: String,
    /// How often it was read, successfully or not.
    pub reads: u64,
    /// How often it was asked for by a command. A settled view with a higher count is newer than the command.
    pub syncs: u64,
    /// When it was last read successfully since the start.
    pub read_at: Option<Timestamp>,
    /// Why it could not be read the last time, or why it is not followed.
    pub error: Option<String>,
}

impl View {
    /// Everything is as declared: nothing to do or to wait for, and nothing is in error.
    pub fn is_converged(&self) -> bool {
        self.settled && self.plan.is_converged() && self.plan.held.is_empty() && self.is_sound()
    }

    /// The source could be read, every spec is valid and the engine answers.
    pub fn is_sound(&self) -> bool {
        self.source.error.is_none() && self.engine_error.is_none() && self.desired.broken.is_empty()
    }

    /// Every container that is declared or exists, in order.
    pub fn keys(&self) -> Vec<ResourceKey> {
        let declared = self.desired.containers().map(|(key, _)| key);
        let keys: BTreeSet<ResourceKey> = declared.chain(self.observed.containers.keys().cloned()).collect();
        keys.into_iter().collect()
    }

    /// The status, as `status -o json` prints it. Of an engine that was never seen nothing is said: what it runs is
    /// unknown, and not gone.
    pub fn status(&self, engine: &EngineInfo) -> StatusReport {
        let report =
            homeostat_reconciler::status(&self.desired, &self.observed, &self.record, &self.plan, engine);
        if self.seen { report } else { report.unseen() }
    }
}
