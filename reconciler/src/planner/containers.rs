//! The containers, one by one, each after those it depends on.

use std::collections::BTreeSet;

use homeostat_spec::{App, Container, DesiredState, Name, PublishedPort};

use super::subject::{Course, Subject};
use super::{Node, Planner};
use crate::state::{Verb, Verdict, verbs_from_created};
use crate::{
    Action, Cause, ContainerState, HealthStatus, ObservedContainer, Override, ResourceId, ResourceKey,
    WaitReason,
};

impl<'a> Planner<'a> {
    pub(super) fn advance_containers(&mut self) {
        let desired = self.desired;
        for app in desired.apps.values() {
            for name in in_dependency_order(app) {
                let key = ResourceKey::new(app.name.clone(), name.clone());
                self.advance(&key, &app.containers[name]);
            }
        }
    }

    fn advance(&mut self, key: &ResourceKey, container: &'a Container) {
        let subject = self.subjects[key].clone();
        match &subject.course {
            Course::Leave | Course::Remove => {}
            Course::Create => self.create(key, container, &Cause::Missing, None),
            Course::Replace(cause) => self.replace(key, container, &subject, cause),
            Course::Adopt { id, name } => self.adopt(key, container, id, name),
            Course::Keep(reason) => {
                self.wait(ResourceId::container(key), reason.clone(), None);
                self.keep_going(key, container, &subject);
            }
            Course::Settle => self.settle(key, container, &subject),
        }
    }

    /// The steps from absent to the desired state.
    fn create(&mut self, key: &ResourceKey, container: &Container, cause: &Cause, removal: Option<Node>) {
        let needs = match self.needs(key, container) {
            Ok(needs) => needs,
            Err(by) => return self.wait(ResourceId::container(key), WaitReason::Blocked { by }, None),
        };
        let action = Action::CreateContainer {
            image: self.desired.image_of(key).unwrap_or_default(),
            config: Box::new(container.config.clone()),
            attended: self.desired.overrides.get(key) == Some(&Override::Attended),
        };
        let after = needs.into_iter().chain(removal);
        let create = self.graph.add(ResourceId::container(key), action, cause.clone(), after);
        let verbs = verbs_from_created(self.desired.wanted_state(key, container));
        self.follow(key, container, &container.config.ports, verbs, cause, Some(create));
    }

    /// Everything that a container needs before it is created.
    pub(super) fn needs(&self, key: &ResourceKey, container: &Container) -> Result<Vec<Node>, ResourceId> {
        let mut nodes = self.supplies(key, container)?;
        let (early, late) = self.networks_of(key, container)?;
        nodes.extend(early.into_iter().chain(late));
        Ok(nodes)
    }

    /// The steps from a container that is configured otherwise, once its successor can start. Until
    /// then the old one is kept going.
    fn replace(&mut self, key: &ResourceKey, container: &'a Container, subject: &Subject<'a>, cause: &Cause) {
        if let Some(removal) = self.removals.get(key).copied() {
            return self.create(key, container, cause, Some(removal));
        }
        let needs = self.needs(key, container).map_err(|by| WaitReason::Blocked { by });
        let before_start = match self.desired.wanted_state(key, container) {
            DesiredState::Created => Ok(Vec::new()),
            _ => self.before_start(key, container, &container.config.ports),
        };
        match needs.and_then(|needs| Ok([needs, before_start?].concat())) {
            Ok(after) => {
                self.remove_container(key, cause, &after);
                let removal = self.removals.get(key).copied();
                self.create(key, container, cause, removal);
            }
            Err(reason) => {
                self.wait(ResourceId::container(key), reason, None);
                self.keep_going(key, container, subject);
            }
        }
    }

    /// Restarts a service that is going to be replaced later, as its policy says. A one-shot only runs again
    /// as what it is to be, and what is to be paused only where that can be done.
    fn keep_going(&mut self, key: &ResourceKey, container: &Container, subject: &Subject<'_>) {
        let never_pauses = container.state == DesiredState::Paused && !self.observed.abilities.pause;
        if container.state == DesiredState::Exited || never_pauses {
            return;
        }
        match &subject.verdict {
            Verdict::Do(verbs, cause @ (Cause::Restart(_) | Cause::Unhealthy | Cause::ByHand)) => {
                let ports = subject.actual.map_or(&[][..], |actual| &actual.config.ports);
                self.follow(key, container, ports, verbs, cause, None);
            }
            Verdict::AwaitRestart(until) => self.await_restart(key, subject, *until),
            _ => {}
        }
    }

    /// The steps for a container that is configured as declared.
    fn settle(&mut self, key: &ResourceKey, container: &Container, subject: &Subject<'_>) {
        let mut previous = self.stops.get(key).copied();
        if !subject.update.is_empty() {
            let action = Action::UpdateContainer {
                resources: container.config.resources.clone(),
                log: container.config.log.clone(),
            };
            let cause = Cause::Changed(subject.update.clone());
            previous = Some(self.graph.add(ResourceId::container(key), action, cause, previous));
        }
        match &subject.verdict {
            Verdict::Do([Verb::Stop], _) | Verdict::Create | Verdict::Replace => {}
            Verdict::Do(verbs, cause) => {
                self.follow(key, container, &container.config.ports, verbs, cause, previous);
            }
            Verdict::AwaitCompletion => {
                self.wait(ResourceId::container(key), WaitReason::Completion, None);
            }
            Verdict::AwaitRestart(until) => self.await_restart(key, subject, *until),
            Verdict::Keep => {
                if let Some(state) = self.kept_by_hand(key, subject) {
                    self.wait(ResourceId::container(key), WaitReason::KeptByHand { state }, None);
                } else if self.awaits_health(key, container, subject.actual) {
                    self.wait(ResourceId::container(key), WaitReason::Health, None);
                }
            }
        }
    }

    /// Adds the steps for these verbs to a container that publishes these ports; none if its start has to wait.
    fn follow(
        &mut self,
        key: &ResourceKey,
        container: &Container,
        ports: &[PublishedPort],
        verbs: &[Verb],
        cause: &Cause,
        mut previous: Option<Node>,
    ) {
        let mut before_start = Vec::new();
        if verbs.contains(&Verb::Start) {
            match self.before_start(key, container, ports) {
                Ok(nodes) => before_start = nodes,
                Err(reason) => return self.wait(ResourceId::container(key), reason, None),
            }
        }
        for verb in verbs {
            let mut after: Vec<Node> = previous.into_iter().collect();
            let action = match verb {
                Verb::Stop => {
                    previous = Some(self.stop_container(key, cause.clone(), &after));
                    continue;
                }
                Verb::Start => {
                    after.append(&mut before_start);
                    Action::StartContainer
                }
                Verb::Pause => Action::PauseContainer,
                Verb::Resume => Action::ResumeContainer,
            };
            let node = self.graph.add(ResourceId::container(key), action, cause.clone(), after);
            if *verb == Verb::Start {
                self.started(key, ports, node);
            }
            previous = Some(node);
        }
    }

    fn await_restart(&mut self, key: &ResourceKey, subject: &Subject<'_>, until: jiff::Timestamp) {
        let attempts = self.record.containers.get(key).map_or(0, |known| known.short_runs);
        let message = match subject.actual.filter(|_| !subject.is_alive()) {
            None => "its health check failed".to_owned(),
            Some(actual) => actual.exit.as_ref().map_or_else(|| "it exited".to_owned(), ToString::to_string),
        };
        let reason = WaitReason::BackOff { attempts, message };
        self.wait(ResourceId::container(key), reason, Some(until));
    }

    /// The state that somebody keeps it in on this host, if so.
    fn kept_by_hand(&self, key: &ResourceKey, subject: &Subject<'_>) -> Option<ContainerState> {
        let kept = self.desired.overrides.get(key)?;
        let state = subject.actual?.state;
        matches!(kept, Override::Stopped { .. } | Override::Paused).then_some(state)
    }

    /// Whether it runs as wanted and no probe has told yet whether it works.
    fn awaits_health(
        &self,
        key: &ResourceKey,
        container: &Container,
        actual: Option<&ObservedContainer>,
    ) -> bool {
        let Some(actual) = actual.filter(|actual| actual.state == ContainerState::Running) else {
            return false;
        };
        if container.health.is_none() {
            return false;
        }
        let health = self.record.containers.get(key).map(|known| &known.health);
        health.is_none_or(|health| {
            health.run != actual.started_at
                || matches!(health.status, HealthStatus::None | HealthStatus::Starting)
        })
    }
}

/// The containers of an app, each after those it depends on. Where they depend on each other in a circle
/// (which the compiler refuses), one of them comes first.
fn in_dependency_order(app: &App) -> Vec<&Name> {
    let mut ordered = Vec::with_capacity(app.containers.len());
    let mut seen = BTreeSet::new();
    // An explicit stack: a spec may have a chain of any length.
    let mut stack: Vec<(&Name, bool)> = app.containers.keys().rev().map(|name| (name, false)).collect();
    while let Some((name, its_turn)) = stack.pop() {
        if its_turn {
            ordered.push(name);
        } else if seen.insert(name) {
            stack.push((name, true));
            let dependencies = app.containers[name].depends_on.keys().rev();
            stack.extend(
                dependencies.filter(|name| app.containers.contains_key(*name)).map(|name| (name, false)),
            );
        }
    }
    ordered
}
