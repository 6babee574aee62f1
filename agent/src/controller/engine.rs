//! Looks at the engine, and what the loop makes of an engine that cannot be seen: nothing. No plan is made, nothing is
//! taken for gone, and what probes tell through it counts for nothing.

use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{BoxStream, Fuse, StreamExt};
use homeostat_reconciler::ports::{EngineEvent, EventKind};
use homeostat_reconciler::{Observed, PortError, ProbeOutcome};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Command, Controller, Ports, Until};
use crate::engine_watch::Answered;
use crate::looking;
use crate::probes::ProbeResult;

/// Who asks how things are is not kept waiting longer than so for the first answer of an engine.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// The last look before a loop ends by itself may take so long beyond its time.
const LAST_LOOK: Duration = Duration::from_secs(5);

impl Controller {
    /// Observes, plans, and offers the plan to the executor. Returns the command that ends the loop, if one came meanwhile.
    pub(super) async fn look(
        &mut self,
        engine_events: &mut Fuse<BoxStream<'static, EngineEvent>>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        // What these events tell is seen by the look that follows.
        while engine_events.next().now_or_never().flatten().is_some() {}
        self.dirty = false;
        if self.ports.by_hand.version() != self.by_hand_version {
            self.take_in_by_hand();
        }
        let started = Instant::now();
        let observed = match self.observe(commands).await {
            Ok(observed) => observed,
            Err(end) => return Some(end),
        };
        let seen = observed.is_ok();
        match observed {
            Ok(observed) => {
                self.engine_answered();
                self.plan_for(observed);
            }
            Err(error) => self.engine_failed(&error),
        }
        self.publish();
        self.ports.watcher.looked(seen, started.elapsed());
        self.save();
        None
    }

    /// Waits for the engine's answer, and obeys meanwhile: an engine that hangs holds up no command, and nobody who asks.
    ///
    /// # Errors
    /// The command that ends the loop.
    async fn observe(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<Result<Observed, PortError>, Command> {
        let Ports { engine, files, .. } = self.ports.clone();
        let desired = self.desired.clone();
        let mut answer = pin!(looking::look(engine.as_ref(), &files, &desired, self.patience()));
        let mut first_word = pin!(tokio::time::sleep(FIRST_WORD));
        loop {
            tokio::select! {
                biased;
                observed = &mut answer => return Ok(observed),
                Some(command) = commands.recv() => {
                    if let Some(end) = self.obey(command) {
                        return Err(end);
                    }
                }
                () = &mut first_word, if self.view.borrow().is_none() => self.publish(),
            }
        }
    }

    /// How long a look may take.
    fn patience(&self) -> Duration {
        match self.options.until {
            Until::Stopped => looking::PATIENCE,
            Until::Settled(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                left.clamp(LAST_LOOK, looking::PATIENCE)
            }
        }
    }

    fn engine_answered(&mut self) {
        let now = self.now();
        let Answered { trouble, failed } = self.engine.answered();
        if let Some(trouble) = trouble {
            let seconds = now.duration_since(trouble.since).as_secs();
            self.event(EventKind::Agent, format!("the engine can be seen again, after {seconds} s"));
            self.record.engine_is_back(&failed, now);
        }
        for result in std::mem::take(&mut self.doubtful_probes) {
            self.take_in_probe(&result);
        }
    }

    fn engine_failed(&mut self, error: &PortError) {
        let now = self.now();
        if self.engine.failed(error, now) {
            let message = homeostat_reconciler::chain(error);
            self.event(EventKind::Agent, format!("the engine cannot be seen: {message}"));
        }
        // What was planned before waits for the engine.
        self.plan_due = None;
        for result in std::mem::take(&mut self.doubtful_probes) {
            self.take_in_probe(&result);
        }
        self.probes.follow(&self.desired, &self.observed, &self.record, now);
    }

    pub(super) fn probed(&mut self, result: ProbeResult) {
        if result.is_doubtful && self.engine.is_sound_since(result.began) {
            // Whether the engine failed or the container, a look tells.
            self.doubtful_probes.push(result);
            self.dirty = true;
            return;
        }
        self.take_in_probe(&result);
        self.probes.follow(&self.desired, &self.observed, &self.record, self.now());
    }

    fn take_in_probe(&mut self, result: &ProbeResult) {
        let now = self.now();
        let check = self.desired.container(&result.key).and_then(|container| container.health.as_ref());
        let run = self.observed.containers.get(&result.key).and_then(|container| container.started_at);
        // What a probe told of an earlier run says nothing about this one.
        let Some(check) = check.filter(|_| run == Some(result.run)) else { return };
        let passed = result.outcome == ProbeOutcome::Passed;
        // An engine that is away may have taken the network of its containers with it.
        let outcome = if passed || self.engine.is_sound_since(result.began) {
            result.outcome.clone()
        } else {
            ProbeOutcome::Unknown
        };
        let change = self.record.probe_result(&result.key, check, outcome, now);
        self.dirty |= change.is_some();
        self.push_events(change);
    }
}
