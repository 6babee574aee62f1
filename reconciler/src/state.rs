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
    /// Another container waits until it has completed.
    pub(crate) awaited: bool,
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
        Self { started_as: known.started_as, policy, exit, unhealthy, restart_at, awaited: false, now }
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
/// | exited | create, start | start | own run: let it end; else stop | own run: resume; else stop | keep; own run cut off: by policy start; no own run and awaited: start |
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
        (Want::Created, Actual::Created) | (Want::Paused, Actual::Paused) => Verdict::Keep,
        (Want::Exited, Actual::Exited) => after_one_shot(facts),
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

/// An exited container that is wanted exited. What a run that was cut off was to do is not done, nor what one was to do
/// that never began, and what depends on it would wait for ever.
fn after_one_shot(facts: &Facts) -> Verdict {
    if !facts.may_be_run_of(DesiredState::Exited) {
        let start = Verdict::Do(&[Verb::Start], Cause::Awaited);
        return if facts.awaited { start } else { Verdict::Keep };
    }
    match &facts.exit {
        Some(exit) if exit.was_cut_off() && facts.policy != RestartPolicy::No => {
            if facts.is_due() {
                Verdict::Do(&[Verb::Start], Cause::Restart(exit.clone()))
            } else {
                Verdict::AwaitRestart(facts.restart_at)
            }
        }
        _ => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake::specs::key;

    const ALL_DESIRED: [DesiredState; 4] =
        [DesiredState::Created, DesiredState::Running, DesiredState::Paused, DesiredState::Exited];

    fn facts() -> Facts {
        Facts {
            started_as: None,
            policy: RestartPolicy::Always,
            exit: None,
            unhealthy: false,
            restart_at: Timestamp::UNIX_EPOCH,
            awaited: false,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn exit(code: Option<i32>) -> ExitStatus {
        ExitStatus { code, oom_killed: false, finished_at: Timestamp::UNIX_EPOCH, error: None }
    }

    fn exited(started_as: DesiredState, policy: RestartPolicy, code: Option<i32>) -> Facts {
        Facts { started_as: Some(started_as), policy, exit: Some(exit(code)), ..facts() }
    }

    fn state(desired: DesiredState, actual: ContainerState, verbs: &'static [Verb]) -> Verdict {
        Verdict::Do(verbs, Cause::State { actual, desired })
    }

    #[test]
    fn whatever_is_absent_is_created() {
        for desired in ALL_DESIRED {
            assert_eq!(verdict(desired, None, &facts()), Verdict::Create);
        }
    }

    #[test]
    fn what_is_absent_or_created_goes_the_same_way() {
        assert_eq!(verbs_from_created(DesiredState::Created), []);
        assert_eq!(verbs_from_created(DesiredState::Running), [Verb::Start]);
        assert_eq!(verbs_from_created(DesiredState::Paused), [Verb::Start, Verb::Pause]);
        assert_eq!(verbs_from_created(DesiredState::Exited), [Verb::Start]);
    }

    #[test]
    fn wanted_created_and_created_is_kept() {
        assert_eq!(verdict(DesiredState::Created, Some(ContainerState::Created), &facts()), Verdict::Keep);
    }

    #[test]
    fn wanted_created_and_ever_started_is_replaced() {
        for actual in [ContainerState::Running, ContainerState::Paused, ContainerState::Exited] {
            assert_eq!(verdict(DesiredState::Created, Some(actual), &facts()), Verdict::Replace);
        }
    }

    #[test]
    fn wanted_running_and_created_is_started() {
        let (desired, actual) = (DesiredState::Running, ContainerState::Created);
        assert_eq!(verdict(desired, Some(actual), &facts()), state(desired, actual, &[Verb::Start]));
    }

    #[test]
    fn wanted_running_and_running_is_kept_while_it_is_not_unhealthy() {
        let (desired, actual) = (DesiredState::Running, Some(ContainerState::Running));
        assert_eq!(verdict(desired, actual, &facts()), Verdict::Keep);
        let unhealthy = Facts { unhealthy: true, ..facts() };
        let restart = Verdict::Do(&[Verb::Stop, Verb::Start], Cause::Unhealthy);
        assert_eq!(verdict(desired, actual, &unhealthy), restart);
        let on_failure = Facts { policy: RestartPolicy::OnFailure, ..unhealthy.clone() };
        assert_eq!(verdict(desired, actual, &on_failure), restart);
        let never = Facts { policy: RestartPolicy::No, ..unhealthy.clone() };
        assert_eq!(verdict(desired, actual, &never), Verdict::Keep);
        let soon = later(Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let backs_off = Facts { restart_at: soon, ..unhealthy };
        assert_eq!(verdict(desired, actual, &backs_off), Verdict::AwaitRestart(soon));
    }

    #[test]
    fn wanted_running_and_paused_is_resumed() {
        let (desired, actual) = (DesiredState::Running, ContainerState::Paused);
        assert_eq!(verdict(desired, Some(actual), &facts()), state(desired, actual, &[Verb::Resume]));
    }

    #[test]
    fn wanted_running_or_paused_and_exited_by_itself_is_as_the_policy_says() {
        use RestartPolicy::{Always, No, OnFailure};
        let cases = [
            (Always, Some(0), true),
            (Always, Some(1), true),
            (Always, None, true),
            (OnFailure, Some(0), false),
            (OnFailure, Some(1), true),
            (OnFailure, None, true),
            (No, Some(0), false),
            (No, Some(1), false),
            (No, None, false),
        ];
        for (desired, verbs) in
            [(DesiredState::Running, &[Verb::Start][..]), (DesiredState::Paused, &[Verb::Start, Verb::Pause])]
        {
            for (policy, code, again) in cases {
                for started_as in [DesiredState::Running, DesiredState::Paused] {
                    let facts = exited(started_as, policy, code);
                    let verdict = verdict(desired, Some(ContainerState::Exited), &facts);
                    let restart = Verdict::Do(verbs, Cause::Restart(exit(code)));
                    assert_eq!(verdict, if again { restart } else { Verdict::Keep }, "{policy:?} {code:?}");
                }
            }
        }
    }

    #[test]
    fn wanted_running_and_exited_from_another_state_is_started_whatever_the_policy() {
        for started_as in [DesiredState::Exited, DesiredState::Created] {
            for code in [Some(0), Some(1), None] {
                let facts = exited(started_as, RestartPolicy::No, code);
                let (desired, actual) = (DesiredState::Running, ContainerState::Exited);
                assert_eq!(verdict(desired, Some(actual), &facts), state(desired, actual, &[Verb::Start]));
            }
        }
    }

    #[test]
    fn wanted_running_and_exited_waits_for_its_back_off() {
        let soon = later(Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let facts =
            Facts { restart_at: soon, ..exited(DesiredState::Running, RestartPolicy::Always, Some(1)) };
        let verdict = verdict(DesiredState::Running, Some(ContainerState::Exited), &facts);
        assert_eq!(verdict, Verdict::AwaitRestart(soon));
    }

    #[test]
    fn wanted_running_and_stopped_for_being_unhealthy_is_started_even_if_it_ended_well() {
        let stopped = exited(DesiredState::Running, RestartPolicy::OnFailure, Some(0));
        let facts = Facts { unhealthy: true, ..stopped };
        let verdict = verdict(DesiredState::Running, Some(ContainerState::Exited), &facts);
        assert_eq!(verdict, Verdict::Do(&[Verb::Start], Cause::Unhealthy));
    }

    #[test]
    fn wanted_paused_and_created_is_started_and_paused() {
        let (desired, actual) = (DesiredState::Paused, ContainerState::Created);
        let expected = state(desired, actual, &[Verb::Start, Verb::Pause]);
        assert_eq!(verdict(desired, Some(actual), &facts()), expected);
    }

    #[test]
    fn wanted_paused_and_running_is_paused() {
        let (desired, actual) = (DesiredState::Paused, ContainerState::Running);
        assert_eq!(verdict(desired, Some(actual), &facts()), state(desired, actual, &[Verb::Pause]));
    }

    #[test]
    fn wanted_paused_and_paused_is_kept() {
        assert_eq!(verdict(DesiredState::Paused, Some(ContainerState::Paused), &facts()), Verdict::Keep);
    }

    #[test]
    fn wanted_exited_and_created_is_started_once() {
        let (desired, actual) = (DesiredState::Exited, ContainerState::Created);
        assert_eq!(verdict(desired, Some(actual), &facts()), state(desired, actual, &[Verb::Start]));
    }

    #[test]
    fn wanted_exited_and_running_is_left_to_end_if_that_is_what_it_was_started_for() {
        for started_as in [None, Some(DesiredState::Exited)] {
            let facts = Facts { started_as, ..facts() };
            let running = verdict(DesiredState::Exited, Some(ContainerState::Running), &facts);
            assert_eq!(running, Verdict::AwaitCompletion);
            let (desired, actual) = (DesiredState::Exited, ContainerState::Paused);
            assert_eq!(verdict(desired, Some(actual), &facts), state(desired, actual, &[Verb::Resume]));
        }
    }

    #[test]
    fn wanted_exited_and_running_or_paused_for_another_state_is_stopped() {
        for started_as in [DesiredState::Running, DesiredState::Paused] {
            for actual in [ContainerState::Running, ContainerState::Paused] {
                let facts = Facts { started_as: Some(started_as), ..facts() };
                let desired = DesiredState::Exited;
                assert_eq!(verdict(desired, Some(actual), &facts), state(desired, actual, &[Verb::Stop]));
            }
        }
    }

    #[test]
    fn wanted_exited_and_exited_by_itself_is_kept_whatever_its_code() {
        for code in [Some(0), Some(1)] {
            let facts = exited(DesiredState::Exited, RestartPolicy::Always, code);
            assert_eq!(verdict(DesiredState::Exited, Some(ContainerState::Exited), &facts), Verdict::Keep);
        }
    }

    #[test]
    fn a_one_shot_that_was_cut_off_runs_again_unless_its_policy_says_no() {
        use RestartPolicy::{Always, No, OnFailure};
        let one_shot = |facts: &Facts| verdict(DesiredState::Exited, Some(ContainerState::Exited), facts);
        for code in [None, Some(137), Some(143)] {
            let again = Verdict::Do(&[Verb::Start], Cause::Restart(exit(code)));
            for (policy, expected) in [(Always, &again), (OnFailure, &again), (No, &Verdict::Keep)] {
                let facts = exited(DesiredState::Exited, policy, code);
                assert_eq!(one_shot(&facts), *expected, "{policy} {code:?}");
            }
        }
        let exit = Some(ExitStatus { oom_killed: true, ..exit(Some(137)) });
        let out_of_memory = Facts { exit, ..exited(DesiredState::Exited, Always, None) };
        assert_eq!(one_shot(&out_of_memory), Verdict::Keep);
        let soon = later(Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        let backs_off = Facts { restart_at: soon, ..exited(DesiredState::Exited, Always, None) };
        assert_eq!(one_shot(&backs_off), Verdict::AwaitRestart(soon));
    }

    #[test]
    fn what_was_cut_off_while_it_was_wanted_running_is_not_run_as_a_one_shot() {
        let facts = exited(DesiredState::Running, RestartPolicy::Always, None);
        assert_eq!(verdict(DesiredState::Exited, Some(ContainerState::Exited), &facts), Verdict::Keep);
    }

    #[test]
    fn what_others_wait_for_is_run_as_a_one_shot_however_it_ended_before() {
        let awaited = |started_as, policy, code| {
            let facts = Facts { awaited: true, ..exited(started_as, policy, code) };
            verdict(DesiredState::Exited, Some(ContainerState::Exited), &facts)
        };
        for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::No] {
            for code in [None, Some(0), Some(1), Some(143)] {
                let start = Verdict::Do(&[Verb::Start], Cause::Awaited);
                assert_eq!(awaited(DesiredState::Running, policy, code), start, "{policy} {code:?}");
            }
            for code in [Some(0), Some(1)] {
                assert_eq!(awaited(DesiredState::Exited, policy, code), Verdict::Keep, "{policy} {code:?}");
            }
        }
    }

    #[test]
    fn a_one_shot_that_could_not_be_run_at_all_is_not_run_again() {
        let error = Some("no such program".to_owned());
        let facts = Facts {
            exit: Some(ExitStatus { error, ..exit(None) }),
            ..exited(DesiredState::Exited, RestartPolicy::Always, None)
        };
        assert_eq!(verdict(DesiredState::Exited, Some(ContainerState::Exited), &facts), Verdict::Keep);
    }

    #[test]
    fn an_unhealthy_container_is_not_stopped_before_its_back_off_is_over() {
        use crate::fake::World;
        use crate::{ContainerRecord, Health};
        let start = Timestamp::UNIX_EPOCH;
        let mut world = World::at(start);
        let web = key("web/web");
        world.bring_image("nginx").unwrap();
        world.create_container(&web, "nginx", &crate::fake::specs::container("nginx").config).unwrap();
        world.start_container(&web).unwrap();
        let health = Health { status: HealthStatus::Unhealthy, run: Some(start), ..Health::default() };
        let known = ContainerRecord { short_runs: 9, health, ..ContainerRecord::default() };
        let record = Record { containers: [(web.clone(), known)].into(), ..Record::default() };
        let observed = world.observe();
        let facts = Facts::new(&web, RestartPolicy::Always, observed.containers.get(&web), &record, start);
        assert!(facts.restart_at > later(start, Duration::from_secs(20)));
        world.exit(&web, Some(0));
        let observed = world.observe();
        let facts = Facts::new(&web, RestartPolicy::Always, observed.containers.get(&web), &record, start);
        assert_eq!(facts.restart_at, start, "the delay has passed before the stop");
    }
}
