//! What is to become of each container.

use homeostat_spec::Container;

use super::Planner;
use crate::changes::{Changes, container_changes};
use crate::stall::stalled;
use crate::state::{Facts, Verdict, verdict};
use crate::unsupported::unsupported;
use crate::{Cause, ContainerState, FieldChange, ObservedContainer, ResourceId, ResourceKey, WaitReason};

/// A container that is declared, there, or both.
#[derive(Debug, Clone)]
pub(super) struct Subject<'a> {
    pub(super) declared: Option<&'a Container>,
    pub(super) actual: Option<&'a ObservedContainer>,
    pub(super) course: Course,
    /// What the state machine says of it as it is configured now.
    pub(super) verdict: Verdict,
    /// What can be changed in place.
    pub(super) update: Vec<FieldChange>,
}

impl Subject<'_> {
    /// Whether it has processes, and so holds its ports.
    pub(super) fn is_alive(&self) -> bool {
        self.actual
            .is_some_and(|actual| matches!(actual.state, ContainerState::Running | ContainerState::Paused))
    }

    /// Whether it is as declared and is to run once more, now or once it can.
    pub(super) fn is_started_again(&self) -> bool {
        self.course == Course::Settle && self.verdict != Verdict::Keep
    }

    /// Whether it is as declared and in the state that it is to stay in.
    pub(super) fn is_left_alone(&self) -> bool {
        self.course == Course::Settle && self.verdict == Verdict::Keep
    }
}

/// What is to become of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Course {
    /// It is not touched: its app's file is broken, or it backs off.
    Leave,
    /// It is removed.
    Remove,
    /// It is created.
    Create,
    /// It is removed and created anew.
    Replace(Cause),
    /// It is taken over from what homeostat did not make.
    Adopt {
        /// The engine's id of it.
        id: String,
        /// The engine's name of it.
        name: String,
    },
    /// What is declared cannot be had: what is there stays as it is, and is kept going.
    Keep(WaitReason),
    /// It is configured as declared; only its state, limits or log may have to change.
    Settle,
}

impl<'a> Planner<'a> {
    pub(super) fn assess_containers(&mut self) {
        let declared = self.desired.containers().map(|(key, _)| key);
        let keys: Vec<ResourceKey> = declared.chain(self.observed.containers.keys().cloned()).collect();
        let awaited = self.desired.awaited();
        for key in keys {
            if !self.subjects.contains_key(&key) {
                let subject = self.assess(&key, awaited.contains(&key));
                self.subjects.insert(key, subject);
            }
        }
    }

    fn assess(&mut self, key: &ResourceKey, awaited: bool) -> Subject<'a> {
        let declared = self.desired.container(key);
        let actual = self.observed.containers.get(key);
        let mut subject =
            Subject { declared, actual, course: Course::Leave, verdict: Verdict::Keep, update: Vec::new() };
        let protected = declared.is_none() && self.is_protected(key);
        if protected || self.backs_off(&ResourceId::container(key)) {
            return subject;
        }
        let Some(container) = declared else {
            subject.course = Course::Remove;
            return subject;
        };
        let facts = Facts::new(key, container.restart, actual, self.record, self.now);
        let facts = Facts { awaited, ..facts };
        subject.verdict = self.verdict(key, container, actual, &facts);
        let image = self.desired.declared_image(key);
        if let Some(reason) = unsupported(container, image, &self.observed.abilities) {
            subject.course = Course::Keep(WaitReason::Unsupported { reason });
            return subject;
        }
        let Some(actual) = actual else {
            subject.course = self.course_of_absent(key, container);
            return subject;
        };
        let changes = self.changes(key, container, actual);
        subject.course = if !changes.recreate.is_empty() {
            Course::Replace(Cause::Changed([changes.recreate, changes.update].concat()))
        } else if subject.verdict == Verdict::Replace {
            Course::Replace(Cause::State { actual: actual.state, desired: container.state })
        } else {
            subject.update = changes.update;
            Course::Settle
        };
        subject
    }

    /// What somebody asked for by hand comes before what is declared.
    fn verdict(
        &self,
        key: &ResourceKey,
        container: &Container,
        actual: Option<&ObservedContainer>,
        facts: &Facts,
    ) -> Verdict {
        let kept = self.desired.overrides.get(key).filter(|kept| !kept.is_done(actual));
        let asked = kept.zip(actual).and_then(|(kept, actual)| kept.verdict(actual));
        let wanted = kept.map_or(container.state, |kept| kept.state(container.state));
        asked.unwrap_or_else(|| verdict(wanted, actual.map(|actual| actual.state), facts))
    }

    /// What differs, unless changing it was to no avail too often.
    fn changes(&mut self, key: &ResourceKey, declared: &Container, actual: &ObservedContainer) -> Changes {
        let reference = self.desired.image_of(key).unwrap_or_default();
        let changes = container_changes(declared, &reference, actual, self.observed);
        let all = [changes.recreate.as_slice(), changes.update.as_slice()].concat();
        if self.is_stalled(&ResourceId::container(key), &all) { Changes::default() } else { changes }
    }

    /// Whether changing these fields was to no avail too often; says so in the plan if it was.
    pub(super) fn is_stalled(&mut self, resource: &ResourceId, changes: &[FieldChange]) -> bool {
        let Some(fields) = stalled(self.record, self.desired, resource, changes) else { return false };
        self.wait(resource.clone(), WaitReason::Stalled { fields }, None);
        true
    }
}
