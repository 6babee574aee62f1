//! How the record changes: with what is observed, with every step, with every probe.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat_spec::{Container, DesiredState, HealthCheck, MountSource, PullPolicy, RestartPolicy};
use jiff::Timestamp;

use crate::backoff::{LONGEST, SHORT_RUN, later, retry_delay};
use crate::changes::{container_changes, network_changes};
use crate::ports::{Event, EventKind};
use crate::record::ImageHistory;
use crate::stall;
use crate::target::target;
use crate::{
    Action, Cause, ContainerRecord, ContainerState, Desired, ErrorKind, ExitStatus, Failure, Health,
    HealthStatus, Observed, ObservedContainer, PortError, ProbeOutcome, Record, ResourceId, ResourceKey,
    ResourceKind, Step, chain,
};

/// Time between probes until the first has passed, where the spec asks for none as frequent: a container that is
/// up is known to be, and what depends on it starts, without waiting for a whole interval.
const FIRST_PROBES: Duration = Duration::from_secs(1);

/// Once the engine is back, what failed with it waits no longer than after so many attempts.
const ATTEMPTS_AT_RETURN: u32 = 3;

impl Record {
    /// Someone asked for another attempt now: nothing backs off any more, and registries are asked anew. Counts of
    /// restarts stay.
    pub fn try_again(&mut self) {
        self.failures.clear();
        self.asked.clear();
        for container in self.containers.values_mut() {
            container.short_runs = 0;
        }
    }

    /// Takes in what the engine reports. To be called after every [`Engine::observe`](crate::ports::Engine::observe),
    /// before [`plan()`](crate::plan()).
    ///
    /// Counts every run that has ended exactly once, starts health anew with every run, and forgets
    /// what is gone. Doing it twice changes nothing more.
    pub fn observe(&mut self, desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (key, actual) in &observed.containers {
            let known = self.containers.entry(key.clone()).or_default();
            let declared = desired.container(key);
            known.recognize(declared, actual);
            if let Some(message) = known.count_run(declared, actual, now) {
                let resource = Some(key.clone());
                events.push(Event { time: now, kind: EventKind::Exited, resource, message });
            }
            known.follow_health(declared, actual, now);
        }
        self.containers
            .retain(|key, _| observed.containers.contains_key(key) || desired.container(key).is_some());
        self.forget_stalls(desired, observed);
        self.forget_failures(desired, observed, now);
        events.extend(self.lost_volumes(desired, observed, now));
        self.note_volumes(desired, observed);
        self.forget_asked(desired);
        self.note_images(desired, observed);
        events
    }

    /// Takes in that a step was done. `desired` is what the plan was made from.
    pub fn step_succeeded(&mut self, desired: &Desired, step: &Step, now: Timestamp) -> Vec<Event> {
        self.failures.remove(&step.resource);
        if let (
            Action::RemoveContainer | Action::RemoveNetwork | Action::UpdateContainer { .. },
            Cause::Changed(changes),
        ) = (&step.action, &step.cause)
        {
            stall::changed(self, desired, &step.resource, changes);
        }
        if let Action::PullImage { reference } = &step.action
            && desired.pull_policies().get(reference) == Some(&PullPolicy::Always)
        {
            self.asked.insert(reference.clone(), desired.revision.clone());
        }
        if let ResourceId::Declared(ResourceKind::Container, key) = &step.resource {
            self.containers.entry(key.clone()).or_default().step_succeeded(desired.container(key), step);
        }
        vec![event(step, EventKind::Applied, step.to_string(), now)]
    }

    /// Takes in that a step failed: the resource backs off. `desired` is what the plan was made from.
    pub fn step_failed(
        &mut self,
        desired: &Desired,
        step: &Step,
        error: &PortError,
        now: Timestamp,
    ) -> Vec<Event> {
        let attempted = target(desired, &step.resource);
        let earlier = self.failures.get(&step.resource).filter(|failure| failure.attempted == attempted);
        let attempts = earlier.map_or(0, |failure| failure.attempts).saturating_add(1);
        let retry_at = later(now, retry_delay(self.seed, &step.resource, error.kind, attempts));
        let message = chain(error);
        let text = format!("{} {} failed: {message}", step.action.verb(), step.resource);
        let at_existing = matches!(
            step.action,
            Action::StartContainer
                | Action::StopContainer { .. }
                | Action::PauseContainer
                | Action::ResumeContainer
                | Action::UpdateContainer { .. }
                | Action::RemoveContainer
        );
        let hint = error.hint.clone();
        let failure = Failure { attempts, retry_at, message, hint, attempted, at_existing };
        self.failures.insert(step.resource.clone(), failure);
        vec![event(step, EventKind::Failed, text, now)]
    }

    /// Takes in that the engine answers again: what failed while it did not failed with it, and is tried again within
    /// seconds. Not at once: it may be what brought the engine down.
    pub fn engine_is_back(&mut self, failed: &BTreeSet<ResourceId>, now: Timestamp) {
        let seed = self.seed;
        for (resource, failure) in self.failures.iter_mut().filter(|(resource, _)| failed.contains(resource))
        {
            let attempts = failure.attempts.min(ATTEMPTS_AT_RETURN);
            let soon = later(now, retry_delay(seed, resource, ErrorKind::Transient, attempts));
            failure.retry_at = failure.retry_at.min(soon);
        }
    }

    /// Takes in that a container was stopped because the host goes down. As after a power cut it is started when the host
    /// is up again unless it is never restarted; also if it ended well, since that was not its own doing.
    pub fn stopped_with_host(&mut self, desired: &Desired, key: &ResourceKey) {
        let Some(known) = self.containers.get_mut(key) else { return };
        known.counted_run = known.health.run;
        known.short_runs = 0;
        let restarted = desired.container(key).is_some_and(|declared| declared.restart != RestartPolicy::No);
        let wanted = matches!(known.started_as, Some(DesiredState::Running | DesiredState::Paused));
        if restarted && wanted {
            known.started_as = Some(DesiredState::Created);
        }
    }

    /// Takes in what a probe of a container told, `now` being when it ended. Returns an event if the
    /// container's health changed.
    ///
    /// The caller drops the outcome of a probe that began in an earlier run of the container.
    pub fn probe_result(
        &mut self,
        key: &ResourceKey,
        check: &HealthCheck,
        outcome: ProbeOutcome,
        now: Timestamp,
    ) -> Option<Event> {
        let health = &mut self.containers.get_mut(key)?.health;
        let before = health.status;
        health.take_in(check, outcome, now)?;
        if health.status == before {
            return None;
        }
        let message = match (&health.status, &health.message) {
            (HealthStatus::Unhealthy, Some(message)) => format!("unhealthy: {message}"),
            (status, _) => status.to_string(),
        };
        Some(Event { time: now, kind: EventKind::Health, resource: Some(key.clone()), message })
    }

    /// When the next probe of a container is due; `None` while it does not run.
    pub fn next_probe_at(
        &self,
        key: &ResourceKey,
        check: &HealthCheck,
        container: &ObservedContainer,
    ) -> Option<Timestamp> {
        let health = &self.containers.get(key)?.health;
        if container.state != ContainerState::Running || health.run != container.started_at {
            return None;
        }
        let run = health.run?;
        let soon = check.interval.min(FIRST_PROBES);
        let Some(probed_at) = health.probed_at else { return Some(later(run, soon)) };
        let starting = health.status == HealthStatus::Starting && is_in_start_period(run, check, probed_at);
        Some(later(probed_at, if starting { soon } else { check.interval }))
    }

    /// Forgets stalls of what is as declared, or not declared any more.
    fn forget_stalls(&mut self, desired: &Desired, observed: &Observed) {
        self.stalls.retain(|resource, _| match resource {
            ResourceId::Declared(ResourceKind::Container, key) => {
                let Some(declared) = desired.container(key) else { return false };
                let reference = desired.image_of(key).unwrap_or_default();
                observed.containers.get(key).is_none_or(|actual| {
                    !container_changes(declared, &reference, actual, observed).is_empty()
                })
            }
            ResourceId::Declared(ResourceKind::Network, key) => {
                let app = desired.apps.get(&key.app);
                let Some(declared) = app.and_then(|app| app.networks.get(&key.name)) else { return false };
                observed
                    .networks
                    .get(key)
                    .is_none_or(|actual| !network_changes(key.name.as_str(), declared, actual).is_empty())
            }
            _ => false,
        });
    }

    /// Forgets failures of what is neither wanted nor there. Those that were not tried again though
    /// it was time are no longer in anybody's way.
    fn forget_failures(&mut self, desired: &Desired, observed: &Observed, now: Timestamp) {
        if self.failures.is_empty() {
            return;
        }
        let images: BTreeSet<String> =
            desired.containers().filter_map(|(key, _)| desired.image_of(&key)).collect();
        let files: BTreeSet<&str> = desired
            .containers()
            .flat_map(|(_, container)| &container.config.mounts)
            .filter_map(|mount| match &mount.source {
                MountSource::Source(path) => Some(path.digest.as_str()),
                _ => None,
            })
            .collect();
        self.failures.retain(|resource, failure| {
            let known = match resource {
                ResourceId::Image(name) => images.contains(name) || observed.image(name).is_some(),
                ResourceId::File(name) => files.contains(name.as_str()) || observed.files.contains(name),
                // Somebody has removed the container meanwhile, and it is made anew at once.
                ResourceId::Declared(ResourceKind::Container, key)
                    if failure.at_existing && !observed.containers.contains_key(key) =>
                {
                    false
                }
                ResourceId::Declared(_, key) => {
                    desired.apps.contains_key(&key.app)
                        || observed.containers.contains_key(key)
                        || observed.networks.contains_key(key)
                        || observed.volumes.contains(key)
                }
            };
            known && later(failure.retry_at, 2 * LONGEST) > now
        });
    }

    /// Images that a rollback needs: the one that a container had before, and those of what this revision removes.
    fn note_images(&mut self, desired: &Desired, observed: &Observed) {
        for (key, actual) in &observed.containers {
            let new = || ImageHistory { now: actual.image_id.clone(), before: None, gone_with: None };
            let known = self.images.entry(key.clone()).or_insert_with(new);
            if known.now != actual.image_id {
                known.before = Some(std::mem::replace(&mut known.now, actual.image_id.clone()));
            }
        }
        self.images.retain(|key, known| {
            if desired.container(key).is_some() {
                known.gone_with = None;
                return true;
            }
            let since = known.gone_with.get_or_insert_with(|| desired.revision.clone());
            *since == desired.revision || observed.containers.contains_key(key)
        });
    }

    fn forget_asked(&mut self, desired: &Desired) {
        if !self.asked.is_empty() {
            let policies = desired.pull_policies();
            self.asked.retain(|reference, _| policies.get(reference) == Some(&PullPolicy::Always));
        }
    }
}

impl ContainerRecord {
    /// Starts anew with another container under the same key, and takes what runs for what is wanted
    /// when nothing else is known of it: the record was lost, or a crash came between a start and its note.
    fn recognize(&mut self, declared: Option<&Container>, actual: &ObservedContainer) {
        if self.id.as_ref() != Some(&actual.id) {
            if self.id.is_some() {
                *self = Self::default();
            }
            self.id = Some(actual.id.clone());
        }
        if let Some(container) = declared {
            self.stop = Some(container.stop.clone());
        }
        // What is configured otherwise was started for an earlier spec.
        let is_its_run = |container: &&Container| container.config == actual.config;
        if actual.state != ContainerState::Created && self.started_as.is_none() {
            let state = declared.filter(is_its_run).map(|container| container.state);
            self.started_as = state.filter(|state| *state != DesiredState::Created);
        }
    }

    /// Counts the last run if it has ended and is not counted yet. Returns how it ended.
    fn count_run(
        &mut self,
        declared: Option<&Container>,
        actual: &ObservedContainer,
        now: Timestamp,
    ) -> Option<String> {
        let run = actual.started_at?;
        let exit = actual.exit.as_ref();
        let service = |state| matches!(state, DesiredState::Running | DesiredState::Paused);
        let wanted = declared.zip(self.started_as).is_some_and(|(container, started_as)| {
            // That a one-shot ends is what it is for, but for one that is cut off again and again.
            let one_shot = exit.is_none_or(ExitStatus::was_cut_off)
                && [container.state, started_as] == [DesiredState::Exited; 2];
            one_shot || (service(container.state) && service(started_as))
        });
        if actual.state != ContainerState::Exited {
            let works = !matches!(self.health.status, HealthStatus::Starting | HealthStatus::Unhealthy);
            if !wanted || (works && self.health.run == Some(run) && lasted(run, now)) {
                self.short_runs = 0;
            }
            return None;
        }
        if self.counted_run.replace(run) == Some(run) {
            return None;
        }
        let unhealthy = self.health.status == HealthStatus::Unhealthy && self.health.run == Some(run);
        let ended = exit.map_or(run, |exit| exit.finished_at);
        let short = unhealthy || !lasted(run, ended);
        self.short_runs = if wanted && short { self.short_runs.saturating_add(1) } else { 0 };
        Some(exit.map_or_else(|| "exited".to_owned(), ToString::to_string))
    }

    fn follow_health(&mut self, declared: Option<&Container>, actual: &ObservedContainer, now: Timestamp) {
        if self.health.run != actual.started_at {
            self.health = Health { run: actual.started_at, ..Health::default() };
        }
        let checked = declared.is_some_and(|container| container.health.is_some());
        let alive = matches!(actual.state, ContainerState::Running | ContainerState::Paused);
        self.health.status = match self.health.status {
            _ if !checked => HealthStatus::None,
            HealthStatus::None if alive => HealthStatus::Starting,
            // That its last run was unhealthy is a reason to start it again.
            HealthStatus::Unhealthy => HealthStatus::Unhealthy,
            _ if !alive => HealthStatus::None,
            status => status,
        };
        // The clock may be set back: then the next probe counts from now, not from a time to come.
        if self.health.probed_at.or(self.health.run).is_some_and(|since| since > now) {
            self.health.probed_at = Some(now);
        }
    }

    fn step_succeeded(&mut self, declared: Option<&Container>, step: &Step) {
        match &step.action {
            Action::CreateContainer { .. } | Action::AdoptContainer { .. } | Action::RemoveContainer => {
                *self = Self::default();
            }
            Action::StartContainer => {
                self.started_as = declared.map(|container| container.state);
                if matches!(step.cause, Cause::Restart(_) | Cause::Unhealthy) {
                    self.restarts = self.restarts.saturating_add(1);
                }
            }
            Action::StopContainer { .. } => {
                // The end of this run is our doing; it is neither an event nor the container's fault.
                self.counted_run = self.health.run;
                let unhealthy = step.cause == Cause::Unhealthy;
                self.short_runs = if unhealthy { self.short_runs.saturating_add(1) } else { 0 };
            }
            _ => {}
        }
    }
}

impl Health {
    /// `None` if there is no run that the outcome could be about.
    fn take_in(&mut self, check: &HealthCheck, outcome: ProbeOutcome, now: Timestamp) -> Option<()> {
        let run = self.run?;
        self.probed_at = Some(now);
        match outcome {
            ProbeOutcome::Passed => {
                self.failures = 0;
                self.message = None;
                self.status = HealthStatus::Healthy;
            }
            ProbeOutcome::Unknown => {}
            ProbeOutcome::Failed(message) => {
                self.message = Some(message);
                let starting = self.status != HealthStatus::Healthy && is_in_start_period(run, check, now);
                if !starting {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures >= check.retries {
                        self.status = HealthStatus::Unhealthy;
                    }
                }
            }
        }
        Some(())
    }
}

/// Whether `now` is in the start period of a run. With a clock that was set back far it is not: to be taken for
/// unhealthy too soon costs a restart, to be taken for starting for hours costs hours.
fn is_in_start_period(run: Timestamp, check: &HealthCheck, now: Timestamp) -> bool {
    now < later(run, check.start_period) && run < later(now, check.start_period)
}

fn lasted(start: Timestamp, end: Timestamp) -> bool {
    end >= later(start, SHORT_RUN)
}

fn event(step: &Step, kind: EventKind, message: String, time: Timestamp) -> Event {
    let resource = match &step.resource {
        ResourceId::Declared(_, key) => Some(key.clone()),
        ResourceId::Image(_) | ResourceId::File(_) => None,
    };
    Event { time, kind, resource, message }
}
