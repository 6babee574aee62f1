//! What a container that is configured as declared needs to get into the state it is wanted in.

use homeostat_spec::{DesiredState, RestartPolicy};
use jiff::Timestamp;

use crate::backoff::{is_due, later, restart_delay};
use crate::{
    Cause, ContainerState, ExitStatus, HealthStatus, ObservedContainer, Record, ResourceId, ResourceKey,
};

/// A change of a container's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// From created or exited to running.
    Start,
    /// From running or paused to exited.
    Stop,
    /// From running to paused.
    Pause,
    /// From paused to running.
    Resume,
}

/// What to do with a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as wanted.
    Keep,
    /// It is not there: create it, then do [`verbs_from_created`].
    Create,
    /// It cannot get into the wanted state: remove it, then as [`Verdict::Create`].
    Replace,
    /// Do these in order.
    Do(&'static [Verb], Cause),
    /// It runs and is left to end by itself.
    AwaitCompletion,
    /// It is started again, but not before this time.
    AwaitRestart(Timestamp),
}

/// What [`verdict`] has to know of a container beside its two states.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The desired state that its last run was started for, if that is known.
    pub(crate) started_as: Option<DesiredState>,
    /// As declared.
    pub(crate) policy: RestartPolicy,
    /// How its last run ended, if it did and that is known.
    pub(crate) exit: Option<ExitStatus>,
    /// Its health check failed in its last run.
    pub(crate) unhealthy: bool,
    /// Not started again before, after its last run ended by itself or because it is unhealthy.
    pub(crate) restart_at: Timestamp,
    /// The time.
    pub(crate) now: Timestamp,
}

impl Facts {
    pub(crate) fn new(
        key: &ResourceKey,
        policy: RestartPolicy,
        container: Option<&ObservedContainer>,
        record: &Record,
        now: Timestamp,
    ) -> Self {
        let known = record.containers.get(key).cloned().unwrap_or_default();
        let run = container.and_then(|container| container.started_at);
        let running = container.is_some_and(|container| container.state == ContainerState::Running);
        let exit = container.and_then(|container| container.exit.clone()).filter(|_| !running);
        let unhealthy = known.health.status == HealthStatus::Unhealthy && known.health.run == run;
        let delay = |short_runs| restart_delay(record.seed, &ResourceId::container(key), short_runs);
        let restart_at = match (unhealthy, &exit) {
            // The delay passes before the container is stopped: unhealthy serves better than stopped.
            (true, None) => run.map(|run| later(run, delay(known.short_runs.saturating_add(1)))),
            (true, Some(_)) => None,
            (false, Some(exit)) => Some(later(exit.finished_at, delay(known.short_runs))),
            (false, None) => run.map(|run| later(run, delay(known.short_runs))),
        };
        let restart_at = restart_at.unwrap_or(now);
        Self { started_as: known.started_as, policy, exit, unhealthy, restart_at, now }
    }

    fn is_due(&self) -> bool {
        is_due(self.restart_at, self.now)
    }

    /// Whether its last run was started for `state`, or for nobody knows what.
    fn may_be_run_of(&self, state: DesiredState) -> bool {
        self.started_as.is_none_or(|started_as| started_as == state)
    }
}

/// The way from created to each desired state.
pub(crate) fn verbs_from_created(desired: DesiredState) -> &'static [Verb] {
    match desired {
        DesiredState::Created => &[],
        DesiredState::Running | DesiredState::Exited => &[Verb::Start],
        DesiredState::Paused => &[Verb::Start, Verb::Pause],
    }
}

/// The state machine: desired state by actual state.
///
/// | desired | absent | created | running | paused | exited |
/// |---|---|---|---|---|---|
/// | created | create | keep | replace | replace | replace |
/// | running | create, start | start | keep; stop and start if unhealthy | resume | by policy start |
/// | paused | create, start, pause | start, pause | pause | keep | by policy start, pause |
/// | exited | create, start | start | own run: let it end; else stop | own run: resume; else stop | keep |
pub(crate) fn verdict(desired: DesiredState, actual: Option<ContainerState>, facts: &Facts) -> Verdict {
    use ContainerState as Actual;
    use DesiredState as Want;
    let Some(actual) = actual else { return Verdict::Create };
    let step = |verbs| Verdict::Do(verbs, Cause::State { actual, desired });
    match (desired, actual) {
        (Want::Created, Actual::Running | Actual::Paused | Actual::Exited) => Verdict::Replace,
        (Want::Running, Actual::Running) => running_as_wanted(facts),
        (Want::Running, Actual::Paused) => step(&[Verb::Resume]),
        (Want::Paused, Actual::Running) => step(&[Verb::Pause]),
        (Want::Exited, Actual::Running) if facts.may_be_run_of(Want::Exited) => Verdict::AwaitCompletion,
        (Want::Exited, Actual::Paused) if facts.may_be_run_of(Want::Exited) => step(&[Verb::Resume]),
        (Want::Exited, Actual::Running | Actual::Paused) => step(&[Verb::Stop]),
        (Want::Created, Actual::Created)
        | (Want::Paused, Actual::Paused)
        | (Want::Exited, Actual::Exited) => Verdict::Keep,
        (Want::Running | Want::Paused | Want::Exited, Actual::Created) => step(verbs_from_created(desired)),
        (Want::Running | Want::Paused, Actual::Exited) => after_exit(desired, facts),
    }
}

fn running_as_wanted(facts: &Facts) -> Verdict {
    if !facts.unhealthy || facts.policy == RestartPolicy::No {
        Verdict::Keep
    } else if facts.is_due() {
        Verdict::Do(&[Verb::Stop, Verb::Start], Cause::Unhealthy)
    } else {
        Verdict::AwaitRestart(facts.restart_at)
    }
}

/// An exited container that is wanted running or paused.
fn after_exit(desired: DesiredState, facts: &Facts) -> Verdict {
    let verbs = verbs_from_created(desired);
    let state = Cause::State { actual: ContainerState::Exited, desired };
    // It did not end while it was wanted: the policy has no say in its first start.
    if matches!(facts.started_as, Some(DesiredState::Exited | DesiredState::Created)) {
        return Verdict::Do(verbs, state);
    }
    // An exit that nobody saw, as in a power cut, counts as a failure.
    let failed = facts.unhealthy || !facts.exit.as_ref().is_some_and(ExitStatus::success);
    let again = match facts.policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => failed,
        RestartPolicy::No => false,
    };
    if !again {
        return Verdict::Keep;
    }
    if !facts.is_due() {
        return Verdict::AwaitRestart(facts.restart_at);
    }
    match &facts.exit {
        _ if facts.unhealthy => Verdict::Do(verbs, Cause::Unhealthy),
        Some(exit) => Verdict::Do(verbs, Cause::Restart(exit.clone())),
        None => Verdict::Do(verbs, state),
    }
}
