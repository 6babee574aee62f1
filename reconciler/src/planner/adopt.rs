//! Containers that a spec takes over: as they are, or not at all.

use homeostat_spec::Container;

use super::Planner;
use super::needs::Need;
use super::subject::Course;
use crate::adoption::{candidate, obstacles};
use crate::{Action, Cause, ResourceId, ResourceKey, WaitReason};

impl Planner<'_> {
    /// What is to become of a container that is declared and not there.
    pub(super) fn course_of_absent(&mut self, key: &ResourceKey, container: &Container) -> Course {
        let observed = self.observed;
        let Some((name, there)) = candidate(key, container.adopt.as_ref(), &observed.foreign, &self.adopted)
        else {
            return Course::Create;
        };
        let fields = obstacles(key, container, there, self.desired, observed);
        if !fields.is_empty() {
            return Course::Keep(WaitReason::NotAdoptable { name: name.to_owned(), fields });
        }
        let id = there.container.id.clone();
        self.adopted.insert(id.clone());
        Course::Adopt { id, name: name.to_owned() }
    }

    /// Takes over a container once what it needs is here, as if it were to be created: then nothing is missing that would
    /// have it replaced.
    pub(super) fn adopt(&mut self, key: &ResourceKey, container: &Container, id: &str, name: &str) {
        let resource = ResourceId::container(key);
        let reference = self.desired.image_of(key).unwrap_or_default();
        if !matches!(self.images.get(&reference), Some(Need::Here)) {
            // What the reference brings may be another image than the container has.
            return self.wait(resource, WaitReason::Blocked { by: ResourceId::Image(reference) }, None);
        }
        match self.needs(key, container) {
            Ok(needs) => {
                let action = Action::AdoptContainer { id: id.to_owned(), name: name.to_owned() };
                self.graph.add(resource, action, Cause::Adopt { name: name.to_owned() }, needs);
            }
            Err(by) => self.wait(resource, WaitReason::Blocked { by }, None),
        }
    }
}
