//! The loop: source and engine in, steps out, until nothing is left to do; then it sleeps.
//!
//! Nothing polls: the loop wakes for an engine event, a change of the source, a step or probe that
//! ended, a command, or the earliest time that the plan waits for.

mod engine;
mod pruning;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt;
use homeostat_reconciler::ports::{
    Clock, Engine, EngineEvent, Event, EventKind, Pruned, Snapshot, Source, Store,
};
use homeostat_reconciler::{Desired, Observed, Plan, PortError, Record, WaitReason, Waiting, chain};
use homeostat_spec::{HostPrune, Node};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::by_hand::ByHandBook;
use crate::compiled;
use crate::engine_watch::EngineWatch;
use crate::executor::{Executor, Finished};
use crate::files::Origin;
use crate::files::SourceFiles;
use crate::halt;
use crate::hands::Hands;
use crate::looking;
use crate::probes::{ProbeResult, Probes};
use crate::pruner::{Occasion, Pruner};
use crate::reader::Reader;
use crate::retry::Retry;
use crate::timing::{duration_between, sleep_until};
use crate::view::{SourceView, View};
use crate::watcher::Watcher;

/// What failed and is tried again within this time is still worth waiting for.
const WORTH_WAITING: Duration = Duration::from_secs(5);
/// How long steps that are under way may take when the loop is told to end.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// The world that a controller works in.
#[derive(Clone)]
pub struct Ports {
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Says what is wanted.
    pub source: Arc<dyn Source>,
    /// Remembers.
    pub store: Arc<dyn Store>,
    /// What was asked for by hand.
    pub by_hand: Arc<ByHandBook>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Files of the source on this host.
    pub files: SourceFiles,
    /// Is told what happens.
    pub watcher: Arc<dyn Watcher>,
}

/// How a controller behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// A source without any spec removes everything; otherwise it is taken for a mistake.
    pub allow_empty: bool,
    /// The node that specs are compiled for.
    pub node: Node,
    /// When it ends by itself.
    pub until: Until,
    /// What this host says about pruning.
    pub prune: HostPrune,
    /// Differs between nodes, so that they do not all try again at the same moment.
    pub seed: u64,
}

/// When a controller ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never: only a command ends it.
    Stopped,
    /// Once the source has been read and nothing more can be done, or at this time at the latest.
    Settled(Instant),
}

/// What a running controller can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read the source now.
    Sync,
    /// Something changed behind the loop's back: look now.
    Look,
    /// This was removed by hand because nobody needs it.
    Pruned(Pruned),
    /// Remove everything that homeostat runs (volumes that are retained stay), then end.
    Down,
    /// End; containers go on running.
    Stop,
    /// The host goes down: stop the containers in order, then end. They start again with the host.
    Halt,
}

/// See the module's documentation.
pub struct Controller {
    ports: Ports,
    options: Options,
    /// What the source says.
    declared: Arc<Desired>,
    /// What the source says with what was asked for by hand.
    desired: Arc<Desired>,
    /// The version of that which `desired` has.
    by_hand_version: u64,
    observed: Arc<Observed>,
    record: Record,
    /// What the store holds of the record.
    saved: Record,
    /// What the store is still to be told of the last good state.
    unsaved: Option<Arc<Desired>>,
    plan: Arc<Plan>,
    /// When the plan lets something go on. Noted by the clock that nobody sets: if the host's is set back by hours,
    /// nothing waits for hours.
    plan_due: Option<Instant>,
    source: SourceView,
    source_retry: Retry,
    diagnostics: Arc<Vec<homeostat_spec::Diagnostic>>,
    engine: EngineWatch,
    /// Failed probes of which a look has to tell whether the engine was at fault.
    doubtful_probes: Vec<ProbeResult>,
    reader: Reader,
    executor: Executor,
    probes: Probes,
    pruner: Pruner,
    prune_errors: HashMap<Occasion, String>,
    /// No more room can be made on the disk of the images, and that was told.
    disk_is_full: bool,
    events: Vec<Event>,
    /// Something happened since the last look.
    dirty: bool,
    going_down: bool,
    view: watch::Sender<Option<View>>,
}

impl Controller {
    /// A controller that begins with what the store remembers. The receiver gets a [`View`] after every look.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(ports: Ports, options: Options) -> Result<(Self, watch::Receiver<Option<View>>), PortError> {
        let stored = ports.store.load()?;
        let (view, receiver) = watch::channel(None);
        let hands = Hands { engine: ports.engine.clone(), files: ports.files.clone() };
        let declared = Desired {
            revision: stored.revision.unwrap_or_default(),
            apps: stored.apps,
            prune: stored.prune,
            ..Desired::default()
        };
        let (desired, by_hand_version) = ports.by_hand.complete(&declared);
        let mut record = Record { seed: options.seed, ..stored.record.clone() };
        if options.until != Until::Stopped {
            record.try_again();
        }
        let controller = Self {
            executor: Executor::new(hands, ports.watcher.clone()),
            probes: Probes::new(ports.engine.clone()),
            pruner: Pruner::new(ports.engine.clone()),
            prune_errors: HashMap::new(),
            disk_is_full: false,
            reader: Reader::new(ports.source.clone()),
            source: SourceView { description: ports.source.describe(), ..SourceView::default() },
            source_retry: Retry::new(Duration::from_secs(5), Duration::from_mins(5)),
            engine: EngineWatch::new(),
            doubtful_probes: Vec::new(),
            ports,
            // With a last good revision at hand, healing does not wait for the source.
            dirty: !desired.apps.is_empty(),
            declared: Arc::new(declared),
            desired: Arc::new(desired),
            by_hand_version,
            observed: Arc::default(),
            saved: stored.record,
            unsaved: None,
            record,
            plan: Arc::default(),
            plan_due: None,
            diagnostics: Arc::default(),
            events: Vec::new(),
            going_down: false,
            options,
            view,
        };
        Ok((controller, receiver))
    }

    /// Runs until it is told to end, or until it has settled; see [`Until`].
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // Without network, what was fetched last is still here to build and mount from.
        if let Some(snapshot) = self.ports.source.last_snapshot().await {
            self.executor.set_origin(Origin { source: self.ports.source.clone(), snapshot });
        }
        let mut engine_events = self.ports.engine.events().fuse();
        let mut source_changes = self.ports.source.changes().fuse();
        self.reader.request();
        let end = loop {
            if self.dirty {
                if let Some(end) = self.look(&mut engine_events, &mut commands).await {
                    break Some(end);
                }
                if self.is_done() {
                    break None;
                }
                self.follow_prunes();
            }
            let wake = self.wake_at();
            // The first that is ready is taken. Last come the events of the engine: containers that come and go all the
            // time must not keep the loop from anything else.
            tokio::select! {
                biased;
                Some(command) = commands.recv() => {
                    if let Some(end) = self.obey(command) {
                        break Some(end);
                    }
                }
                () = sleep_until(wake) => self.timer_fired(),
                Some(()) = source_changes.next(), if !self.going_down => self.reader.request(),
                snapshot = self.reader.next() => self.source_read(snapshot),
                Some(finished) = self.executor.next_finished() => self.step_finished(&finished),
                result = self.probes.next() => self.probed(result),
                (occasion, pruned) = self.pruner.next() => self.pruned_by_itself(occasion, pruned),
                Some(event) = engine_events.next() => self.engine_event(&event),
            }
        };
        self.finish_steps().await;
        if end == Some(Command::Halt) {
            self.halt().await;
        }
        self.save();
    }

    /// Stops what runs, and remembers that it did not end by itself.
    async fn halt(&mut self) {
        self.event(EventKind::Agent, "the host goes down: containers are stopped".to_owned());
        match looking::containers(self.ports.engine.as_ref(), looking::PATIENCE).await {
            Ok(observed) => {
                for key in halt::stop_all(self.ports.engine.as_ref(), &self.desired, &observed).await {
                    self.record.stopped_with_host(&self.desired, &key);
                }
            }
            Err(error) => tracing::error!("containers are not stopped in order: {}", chain(&error)),
        }
    }

    /// Gives the command back if it ends the loop.
    fn obey(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Stop | Command::Halt => return Some(command),
            Command::Sync => {
                self.record.try_again();
                self.source.syncs += 1;
                self.reader.request();
            }
            Command::Down => {
                self.going_down = true;
                if let Err(error) = self.ports.by_hand.clear() {
                    tracing::error!("{}", chain(&error));
                }
                self.declare(Desired {
                    revision: self.desired.revision.clone(),
                    allow_empty: true,
                    ..Desired::default()
                });
                self.unsaved = Some(self.declared.clone());
            }
            Command::Pruned(pruned) => self.note_pruned(&pruned),
            Command::Look => {}
        }
        self.dirty = true;
        None
    }

    fn timer_fired(&mut self) {
        if self.source_retry.take_due() && !self.going_down {
            self.reader.request();
        }
        self.dirty = true;
    }

    /// Takes in a new snapshot: compiles it, and remembers the last good state of each app.
    fn source_read(&mut self, snapshot: Result<Snapshot, PortError>) {
        if self.going_down {
            return;
        }
        self.dirty = true;
        self.source.reads += 1;
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.source_failed(&error);
                return;
            }
        };
        self.source_retry.succeeded();
        self.source.read_at = Some(self.now());
        let outcome =
            compiled::desired(&snapshot, &self.declared, &self.options.node, self.options.allow_empty);
        self.note_new_diagnostics(&outcome.diagnostics);
        self.ports.watcher.source_read(Ok((&snapshot.revision, &outcome.diagnostics)));
        self.diagnostics = Arc::new(outcome.diagnostics);
        self.executor.set_origin(Origin { source: self.ports.source.clone(), snapshot });
        self.source.error = outcome.refused;
        let Some(desired) = outcome.desired else {
            return;
        };
        if desired.revision != self.declared.revision {
            self.event(EventKind::Revision, format!("revision {}", desired.revision));
        }
        let is_new = desired.revision != self.declared.revision
            || desired.apps != self.declared.apps
            || desired.prune != self.declared.prune;
        self.declare(desired);
        if is_new {
            self.unsaved = Some(self.declared.clone());
        }
    }

    /// This is what the source says from now on.
    fn declare(&mut self, declared: Desired) {
        self.declared = Arc::new(declared);
        self.take_in_by_hand();
    }

    /// Puts what was asked for by hand beside what the source says.
    fn take_in_by_hand(&mut self) {
        let (desired, version) = self.ports.by_hand.complete(&self.declared);
        (self.desired, self.by_hand_version) = (Arc::new(desired), version);
    }

    fn source_failed(&mut self, error: &PortError) {
        self.ports.watcher.source_read(Err(error));
        let message = chain(error);
        if self.source.error.as_ref() != Some(&message) {
            let text = format!("the source could not be read: {message}");
            self.event(EventKind::Source, text);
        }
        self.source.error = Some(message);
        self.source_retry.failed();
    }

    /// Tells of errors in specs once, not at every reading.
    fn note_new_diagnostics(&mut self, diagnostics: &[homeostat_spec::Diagnostic]) {
        for diagnostic in diagnostics {
            if !self.diagnostics.contains(diagnostic) {
                self.event(EventKind::Source, diagnostic.to_string());
            }
        }
    }

    fn step_finished(&mut self, finished: &Finished) {
        let now = self.now();
        let events = match &finished.result {
            Ok(()) => self.record.step_succeeded(&finished.desired, &finished.step, now),
            Err(error) => {
                self.engine.step_failed(&finished.step.resource, error);
                self.record.step_failed(&finished.desired, &finished.step, error, now)
            }
        };
        self.push_events(events);
        // While quick steps run, another look would see a host in motion.
        self.dirty |= self.executor.has_only_slow_steps();
    }

    fn engine_event(&mut self, event: &EngineEvent) {
        tracing::debug!(?event);
        self.dirty = true;
    }

    fn plan_for(&mut self, observed: Observed) {
        let now = self.now();
        if let Err(error) = self.ports.by_hand.settle(&self.desired, &observed) {
            tracing::error!("{}", chain(&error));
        }
        if self.ports.by_hand.version() != self.by_hand_version {
            self.take_in_by_hand();
        }
        let noticed = self.record.observe(&self.desired, &observed, now);
        self.push_events(noticed);
        let plan = homeostat_reconciler::plan(&self.desired, &observed, &self.record, now);
        let restarts = homeostat_reconciler::restarts((&self.observed, &self.plan), (&observed, &plan), now);
        self.push_events(restarts);
        self.probes.follow(&self.desired, &observed, &self.record, now);
        self.executor.offer(&plan, &self.desired);
        self.plan_due = plan.due().map(|until| Instant::now() + duration_between(now, until));
        self.observed = Arc::new(observed);
        self.plan = Arc::new(plan);
    }

    fn publish(&self) {
        let view = View {
            desired: self.desired.clone(),
            observed: self.observed.clone(),
            record: Arc::new(self.record.clone()),
            plan: self.plan.clone(),
            diagnostics: self.diagnostics.clone(),
            source: self.source.clone(),
            engine_error: self.engine.trouble().cloned(),
            by_hand: self.by_hand_version,
            seen: self.engine.was_seen(),
            settled: self.is_settled(),
            time: self.now(),
        };
        self.view.send_replace(Some(view));
    }

    /// Nothing is under way, and nothing that is waited for is worth staying for.
    fn is_settled(&self) -> bool {
        let source_known = self.going_down || (self.source.reads > 0 && !self.reader.is_busy());
        let looks_again = self.engine.due().is_some_and(|due| due <= Instant::now() + WORTH_WAITING);
        let was_answered = self.engine.was_seen() || self.engine.trouble().is_some();
        let now = self.now();
        source_known
            && was_answered
            && !looks_again
            && self.executor.is_idle()
            && self.plan.steps.is_empty()
            && !self.plan.waiting.iter().any(|waiting| may_go_on(waiting, now))
    }

    fn is_done(&self) -> bool {
        match self.options.until {
            Until::Stopped => self.going_down && self.is_settled(),
            Until::Settled(deadline) => self.is_settled() || deadline <= Instant::now(),
        }
    }

    /// The earliest time at which something is due.
    fn wake_at(&self) -> Option<Instant> {
        let deadline = match self.options.until {
            Until::Stopped => None,
            Until::Settled(deadline) => Some(deadline),
        };
        [self.plan_due, self.source_retry.due(), self.engine.due(), self.prune_due(), deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets steps that are under way end, for a while; those that do not are left as after a crash.
    async fn finish_steps(&mut self) {
        let all = async {
            self.executor.take_no_more();
            while let Some(finished) = self.executor.next_finished().await {
                self.step_finished(&finished);
            }
        };
        let _ = tokio::time::timeout(LAST_STEPS, all).await;
    }

    /// Writes what has changed. What could not be written is written after a later look.
    fn save(&mut self) {
        let saved = [self.save_events(), self.save_applied(), self.save_record()];
        for error in saved.into_iter().filter_map(Result::err) {
            self.ports.watcher.store_failed();
            tracing::error!(hint = error.hint, "{}", chain(&error));
        }
    }

    /// Those that cannot be written are given up: the log has them.
    fn save_events(&mut self) -> Result<(), PortError> {
        let events = std::mem::take(&mut self.events);
        if events.is_empty() { Ok(()) } else { self.ports.store.append_events(&events) }
    }

    fn save_applied(&mut self) -> Result<(), PortError> {
        if let Some(desired) = &self.unsaved {
            self.ports.store.save_applied(desired)?;
            self.unsaved = None;
        }
        Ok(())
    }

    fn save_record(&mut self) -> Result<(), PortError> {
        if !self.record.differs_lastingly(&self.saved) {
            return Ok(());
        }
        self.ports.store.save_record(&self.record)?;
        self.saved = self.record.clone();
        Ok(())
    }

    /// Something happened that is about no single resource.
    fn event(&mut self, kind: EventKind, message: String) {
        self.push_events([Event { time: self.now(), kind, resource: None, message }]);
    }

    fn push_events(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.ports.watcher.event(&event);
            self.events.push(event);
        }
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

/// Whether something that is waited for may come by itself soon.
fn may_go_on(waiting: &Waiting, now: Timestamp) -> bool {
    match &waiting.reason {
        WaitReason::Health | WaitReason::Completion => true,
        WaitReason::BackOff { .. } => {
            waiting.until.is_some_and(|until| duration_between(now, until) <= WORTH_WAITING)
        }
        // What these wait for is itself in the plan.
        WaitReason::Dependency { .. }
        | WaitReason::Blocked { .. }
        | WaitReason::Stalled { .. }
        | WaitReason::Unsupported { .. }
        | WaitReason::NotAdoptable { .. }
        | WaitReason::NeverPulled
        | WaitReason::NotAsked { .. }
        | WaitReason::KeptByHand { .. } => false,
    }
}
