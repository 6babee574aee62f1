//! Stops and removals that make room: they wait for nothing but what the successor needs.

use std::time::Duration;

use homeostat_spec::StopPolicy;

use super::subject::Course;
use super::{Node, Planner, Ports};
use crate::state::{Verb, Verdict};
use crate::{Action, Cause, ResourceId, ResourceKey};

/// For a container of whose spec nothing is known: Docker's default.
const STOP_OF_UNKNOWN: StopPolicy = StopPolicy { signal: None, grace: Duration::from_secs(10) };

impl Planner<'_> {
    pub(super) fn make_room(&mut self) {
        self.let_port_holders_yield();
        let keys: Vec<ResourceKey> = self.subjects.keys().cloned().collect();
        for key in &keys {
            let subject = &self.subjects[key];
            match (subject.course.clone(), subject.verdict.clone()) {
                (Course::Remove, _) => self.remove_container(key, &Cause::NotDeclared, &[]),
                (Course::Replace(cause), _) if self.yielding.contains(key) => {
                    if let Some(after) = self.early_needs(key) {
                        self.remove_container(key, &cause, &after);
                    }
                }
                (Course::Settle, Verdict::Do([Verb::Stop], cause)) => {
                    let node = self.stop_container(key, cause, &[]);
                    self.stops.insert(key.clone(), node);
                }
                _ => {}
            }
        }
    }

    /// A container that is replaced, and holds a port that another one is to publish, makes room for it.
    fn let_port_holders_yield(&mut self) {
        let declared: Vec<_> = self.desired.containers().collect();
        let wanted = Ports::declared(declared.iter().map(|(key, container)| (key, &container.config)));
        for (key, subject) in &self.subjects {
            let Some(actual) = subject.actual.filter(|_| matches!(subject.course, Course::Replace(_))) else {
                continue;
            };
            let in_the_way =
                actual.config.ports.iter().any(|port| wanted.holders(port).any(|other| other != key));
            if in_the_way {
                self.yielding.insert(key.clone());
            }
        }
    }

    /// What has to be here before a container that makes room is stopped; `None` if something is missing.
    fn early_needs(&self, key: &ResourceKey) -> Option<Vec<Node>> {
        let container = self.subjects[key].declared?;
        let mut nodes = self.supplies(key, container).ok()?;
        // A late network waits for containers to make room: to wait for it would be to wait for oneself.
        if let Ok((early, _)) = self.networks_of(key, container) {
            nodes.extend(early);
        }
        Some(nodes)
    }

    /// Adds the steps that remove a container.
    pub(super) fn remove_container(&mut self, key: &ResourceKey, cause: &Cause, after: &[Node]) {
        let mut after = after.to_vec();
        if self.subjects[key].is_alive() {
            let stop = self.stop_container(key, cause.clone(), &after);
            self.stops.insert(key.clone(), stop);
            after = vec![stop];
        }
        let removal =
            self.graph.add(ResourceId::container(key), Action::RemoveContainer, cause.clone(), after);
        self.removals.insert(key.clone(), removal);
    }

    pub(super) fn stop_container(&mut self, key: &ResourceKey, cause: Cause, after: &[Node]) -> Node {
        let remembered = || self.record.containers.get(key).and_then(|known| known.stop.as_ref());
        let policy = self.subjects[key].declared.map(|container| &container.stop).or_else(remembered);
        let policy = policy.cloned().unwrap_or(STOP_OF_UNKNOWN);
        let StopPolicy { signal, grace } = match self.desired.overrides.get(key) {
            Some(kept) => kept.stop(policy),
            None => policy,
        };
        let action = Action::StopContainer { signal, grace };
        self.graph.add(ResourceId::container(key), action, cause, after.iter().copied())
    }
}
