//! What must be true of every plan.

use std::collections::BTreeSet;

use homeostat_spec::{
    ContainerConfig, DesiredState, LogRotation, MountSource, Name, PublishedPort, Resources,
};
use jiff::Timestamp;

use crate::adoption::{candidate, names, obstacles};
use crate::backoff::is_due;
use crate::changes::container_changes;
use crate::target::target;
use crate::unsupported::unsupported;
use crate::{
    Action, ContainerState, Desired, Observed, ObservedContainer, Plan, Record, ResourceId, ResourceKey,
    ResourceKind, Step,
};

/// Everything about a plan that must never be so, a line each; empty for every plan of [`plan()`](crate::plan()).
///
/// The arguments are what the plan was made from. What is checked:
/// - a step comes after earlier steps only, and the steps of one resource come one after the other;
/// - nothing is done to a resource that backs off, or for an empty source that is not allowed;
/// - nothing is removed that is declared and unchanged, protected, retained, or used afterwards;
/// - a container is stopped before it is removed, created before it is started, and neither created nor stopped for
///   its successor before what that needs is here;
/// - nothing is asked of the engine that it cannot do;
/// - what is taken over is asked for, there, and as declared, and nothing is created beside it;
/// - no two containers hold one port of the host at a time.
pub fn lint(
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    now: Timestamp,
) -> Vec<String> {
    let mut linter = Linter { plan, desired, observed, before: Vec::new(), findings: Vec::new() };
    linter.order();
    linter.back_off(record, now);
    for (index, step) in plan.steps.iter().enumerate() {
        match (&step.resource, &step.action) {
            (ResourceId::Declared(_, key), Action::CreateContainer { image, config, .. }) => {
                linter.needs(index, key, image, config);
                linter.can_create(index, key);
            }
            (ResourceId::Declared(_, key), Action::AdoptContainer { id, name }) => {
                linter.adopt(index, key, id, name);
            }
            (ResourceId::Declared(_, key), Action::UpdateContainer { resources, log }) => {
                linter.can_update(index, key, resources, log);
            }
            (ResourceId::Declared(..), Action::PauseContainer) => {
                linter.require(index, observed.abilities.pause, "the engine cannot pause");
            }
            (ResourceId::Declared(_, key), Action::StartContainer) => linter.start(index, key),
            (ResourceId::Declared(_, key), Action::StopContainer { .. }) => linter.stop(index, key),
            (ResourceId::Declared(_, key), Action::RemoveContainer) => linter.remove_container(index, key),
            (ResourceId::Declared(_, key), Action::RemoveVolume) => linter.remove_volume(index, key, record),
            (ResourceId::Declared(_, key), Action::RemoveNetwork) => linter.remove_network(index, key),
            (_, Action::RemoveImage { reference }) => linter.remove_image(index, reference),
            (_, Action::RemoveFile { digest }) => linter.remove_file(index, digest),
            _ => {}
        }
    }
    linter.findings
}

struct Linter<'a> {
    plan: &'a Plan,
    desired: &'a Desired,
    observed: &'a Observed,
    /// All that comes before each step, directly or not.
    before: Vec<BTreeSet<usize>>,
    findings: Vec<String>,
}

impl<'a> Linter<'a> {
    fn report(&mut self, index: usize, finding: &str) {
        self.findings.push(format!("step {index} ({}): {finding}", self.plan.steps[index]));
    }

    fn require(&mut self, index: usize, holds: bool, finding: &str) {
        if !holds {
            self.report(index, finding);
        }
    }

    fn steps_before(&self, index: usize) -> impl Iterator<Item = &'a Step> {
        let plan = self.plan;
        self.before[index].iter().map(|earlier| &plan.steps[*earlier])
    }

    /// Whether such a step comes before.
    fn comes_after(&self, index: usize, found: impl Fn(&Step) -> bool) -> bool {
        self.steps_before(index).any(found)
    }

    fn order(&mut self) {
        for (index, step) in self.plan.steps.iter().enumerate() {
            let mut before = BTreeSet::new();
            for earlier in &step.after {
                if *earlier < index {
                    before.insert(*earlier);
                    before.extend(self.before[*earlier].iter().copied());
                }
            }
            self.before.push(before);
            self.require(
                index,
                step.after.iter().all(|earlier| *earlier < index),
                "comes after a later step",
            );
            let previous = self.plan.steps[..index].iter().rposition(|other| other.resource == step.resource);
            let chained = previous.is_none_or(|previous| self.before[index].contains(&previous));
            self.require(index, chained, "is not chained to the step before on the same resource");
        }
    }

    fn back_off(&mut self, record: &Record, now: Timestamp) {
        for (index, step) in self.plan.steps.iter().enumerate() {
            let backs_off = record.failures.get(&step.resource).is_some_and(|failure| {
                !is_due(failure.retry_at, now) && failure.attempted == target(self.desired, &step.resource)
            });
            self.require(index, !backs_off, "the resource backs off");
            let wanted = match &step.resource {
                ResourceId::Declared(kind, key) => self.desired.is_by_hand(*kind, key),
                ResourceId::Image(_) | ResourceId::File(_) => true,
            };
            self.require(index, !self.desired.is_held() || wanted, "the source is empty");
        }
    }

    /// What a container needs is here, or a step before brings it, and no step before takes it away again.
    fn needs(&mut self, index: usize, key: &ResourceKey, image: &str, config: &ContainerConfig) {
        let there = self.observed.containers.contains_key(key);
        let gone =
            self.comes_after(index, |step| is_container(step, key) && step.action == Action::RemoveContainer);
        self.require(index, !there || gone, "the container is there already");
        self.supplies(index, key, image, config);
        for name in config.app_networks() {
            let network = ResourceId::Declared(ResourceKind::Network, own(key, name));
            let is_network = |step: &Step| step.resource == network;
            let removed =
                self.plan.steps.iter().any(|step| is_network(step) && step.action == Action::RemoveNetwork);
            let made = self.comes_after(index, |step| {
                is_network(step) && matches!(step.action, Action::CreateNetwork { .. })
            });
            let here = self.observed.networks.contains_key(&own(key, name)) && !removed;
            self.require(index, here || made, "its network is not here");
        }
    }

    fn can_create(&mut self, index: usize, key: &ResourceKey) {
        let declared = self.desired.container(key);
        let reason = declared.and_then(|container| {
            unsupported(container, self.desired.declared_image(key), &self.observed.abilities)
        });
        self.require(index, reason.is_none(), "the engine cannot do what is declared");
        let adopt = declared.and_then(|container| container.adopt.as_ref());
        let taken = self.plan.steps.iter().filter_map(|step| match &step.action {
            Action::AdoptContainer { id, .. } => Some(id.clone()),
            _ => None,
        });
        let there = candidate(key, adopt, &self.observed.foreign, &taken.collect());
        let beside = there.is_some() && !self.observed.containers.contains_key(key);
        self.require(index, !beside, "what its spec takes over is there");
    }

    fn adopt(&mut self, index: usize, key: &ResourceKey, id: &str, name: &str) {
        let Some(declared) = self.desired.container(key) else {
            return self.report(index, "it is not declared");
        };
        let asked = names(key, declared.adopt.as_ref()).iter().any(|asked| asked == name);
        self.require(index, asked, "its spec does not take over that");
        let there = self.observed.foreign.get(name).filter(|there| there.container.id == id);
        let Some(there) = there else { return self.report(index, "what is taken over is not there") };
        let reference = self.desired.image_of(key).unwrap_or_default();
        let obstacles = obstacles(key, declared, there, self.desired, self.observed);
        self.require(index, obstacles.is_empty(), "what is taken over differs");
        self.needs(index, key, &reference, &declared.config);
    }

    fn can_update(&mut self, index: usize, key: &ResourceKey, resources: &Resources, log: &LogRotation) {
        let Some(actual) = self.observed.containers.get(key) else {
            return self.report(index, "the container is not there");
        };
        let abilities = &self.observed.abilities;
        let limits = abilities.update_resources || actual.config.resources == *resources;
        let rotation = abilities.update_log || actual.config.log == *log;
        self.require(index, limits && rotation, "the engine cannot update that");
    }

    fn supplies(&mut self, index: usize, key: &ResourceKey, image: &str, config: &ContainerConfig) {
        let brought = |step: &Step| match &step.action {
            Action::BuildImage { reference, .. } | Action::PullImage { reference } => reference == image,
            _ => false,
        };
        let here = self.observed.image(image).is_some() || self.comes_after(index, brought);
        self.require(index, here, "its image is not here");
        for mount in &config.mounts {
            match &mount.source {
                MountSource::Source(path) => {
                    let written = |step: &Step| matches!(&step.action, Action::ExportFile { path: other } if other.digest == path.digest);
                    let here = self.observed.files.contains(&path.digest) || self.comes_after(index, written);
                    self.require(index, here, "a file that it mounts is not here");
                }
                MountSource::Volume(name) => {
                    let volume = own(key, name);
                    let resource = ResourceId::Declared(ResourceKind::Volume, volume.clone());
                    let here = self.observed.volumes.contains(&volume)
                        || self.comes_after(index, |step| step.resource == resource);
                    self.require(index, here, "a volume that it mounts is not here");
                }
                MountSource::Host(_) | MountSource::Tmpfs | MountSource::TmpfsWith(_) => {}
            }
        }
    }

    fn start(&mut self, index: usize, key: &ResourceKey) {
        let removed =
            self.comes_after(index, |step| is_container(step, key) && step.action == Action::RemoveContainer);
        let created = self.comes_after(index, |step| {
            is_container(step, key) && matches!(step.action, Action::CreateContainer { .. })
        });
        let there = self.observed.containers.contains_key(key) && !removed;
        self.require(index, there || created, "the container is not there");
        for port in self.ports_after(index, key) {
            self.port_is_free(index, key, &port);
        }
    }

    /// The ports that a container holds once a step has started it.
    fn ports_after(&self, index: usize, key: &ResourceKey) -> Vec<PublishedPort> {
        let created = self.steps_before(index).find_map(|step| match &step.action {
            Action::CreateContainer { config, .. } if is_container(step, key) => Some(config.ports.clone()),
            _ => None,
        });
        let there = || self.observed.containers.get(key).map(|actual| actual.config.ports.clone());
        created.or_else(there).unwrap_or_default()
    }

    fn port_is_free(&mut self, index: usize, key: &ResourceKey, port: &PublishedPort) {
        let observed = self.observed;
        for (other, actual) in &observed.containers {
            if other == key
                || !is_alive(actual)
                || !actual.config.ports.iter().any(|held| held.collides_with(port))
            {
                continue;
            }
            let let_go = self.comes_after(index, |step| {
                is_container(step, other) && matches!(step.action, Action::StopContainer { .. })
            });
            self.require(index, let_go, "a port of the host is still held by another container");
        }
        for (later, step) in self.plan.steps.iter().enumerate().skip(index + 1) {
            let ResourceId::Declared(ResourceKind::Container, other) = &step.resource else { continue };
            if other != key
                && step.action == Action::StartContainer
                && self.ports_after(later, other).iter().any(|held| held.collides_with(port))
            {
                self.report(index, "another container is started on the same port of the host");
            }
        }
    }

    fn stop(&mut self, index: usize, key: &ResourceKey) {
        let alive = self.observed.containers.get(key).is_some_and(is_alive);
        self.require(index, alive, "the container does not run");
        let successor = self.plan.steps.iter().find_map(|step| match &step.action {
            Action::CreateContainer { image, config, .. } if is_container(step, key) => Some((image, config)),
            _ => None,
        });
        if let Some((image, config)) = successor {
            self.supplies(index, key, image, config);
        }
    }

    fn remove_container(&mut self, index: usize, key: &ResourceKey) {
        let Some(actual) = self.observed.containers.get(key) else {
            return self.report(index, "the container is not there");
        };
        let stopped = self.comes_after(index, |step| {
            is_container(step, key) && matches!(step.action, Action::StopContainer { .. })
        });
        self.require(index, stopped || !is_alive(actual), "the container runs");
        let Some(declared) = self.desired.container(key) else {
            let protected = self.desired.protects(&key.app);
            return self.require(index, !protected, "it is protected");
        };
        let reference = self.desired.image_of(key).unwrap_or_default();
        let changes = container_changes(declared, &reference, actual, self.observed);
        let networks: Vec<ResourceId> = actual
            .config
            .app_networks()
            .map(|name| ResourceId::Declared(ResourceKind::Network, own(key, name)))
            .collect();
        let network_goes = self
            .plan
            .steps
            .iter()
            .any(|step| networks.contains(&step.resource) && step.action == Action::RemoveNetwork);
        let was_started = declared.state == DesiredState::Created && actual.state != ContainerState::Created;
        let justified = !changes.recreate.is_empty() || network_goes || was_started;
        self.require(index, justified, "it is declared and unchanged");
    }

    fn remove_volume(&mut self, index: usize, key: &ResourceKey, record: &Record) {
        let declared = self.desired.apps.get(&key.app).is_some_and(|app| app.volumes.contains_key(&key.name));
        self.require(index, !declared, "it is declared");
        self.require(index, !self.desired.protects(&key.app), "it is protected");
        self.require(index, record.volumes_not_retained.contains(key), "it is retained");
        self.unused(index, |user, actual| {
            user.app == key.app
                && actual
                    .config
                    .mounts
                    .iter()
                    .any(|mount| matches!(&mount.source, MountSource::Volume(name) if *name == key.name))
        });
    }

    fn remove_network(&mut self, index: usize, key: &ResourceKey) {
        let protected = self.desired.protects(&key.app) && !self.desired.apps.contains_key(&key.app);
        self.require(index, !protected, "it is protected");
        self.unused(index, |user, actual| user.app == key.app && actual.config.is_on(&key.name));
    }

    fn remove_image(&mut self, index: usize, reference: &str) {
        let ours = reference.starts_with(crate::desired::LOCAL_REGISTRY);
        self.require(index, ours, "it was not built by homeostat");
        let wanted = self
            .desired
            .containers()
            .any(|(key, _)| self.desired.image_of(&key).as_deref() == Some(reference));
        self.require(index, !wanted, "it is declared");
        self.unused(index, |_, actual| actual.image == reference);
    }

    fn remove_file(&mut self, index: usize, digest: &str) {
        let mounts = |config: &ContainerConfig| {
            config
                .mounts
                .iter()
                .any(|mount| matches!(&mount.source, MountSource::Source(path) if path.digest == digest))
        };
        let wanted = self.desired.containers().any(|(_, container)| mounts(&container.config));
        self.require(index, !wanted, "it is declared");
        self.unused(index, |_, actual| mounts(&actual.config));
    }

    /// Every container that uses what is removed is removed before.
    fn unused(&mut self, index: usize, uses: impl Fn(&ResourceKey, &ObservedContainer) -> bool) {
        let observed = self.observed;
        for (user, _) in observed.containers.iter().filter(|(key, actual)| uses(key, actual)) {
            let gone = self.comes_after(index, |step| {
                is_container(step, user) && step.action == Action::RemoveContainer
            });
            self.require(index, gone, "a container still uses it");
        }
    }
}

fn is_container(step: &Step, key: &ResourceKey) -> bool {
    matches!(&step.resource, ResourceId::Declared(ResourceKind::Container, other) if other == key)
}

fn is_alive(actual: &ObservedContainer) -> bool {
    matches!(actual.state, ContainerState::Running | ContainerState::Paused)
}

fn own(key: &ResourceKey, name: &Name) -> ResourceKey {
    ResourceKey::new(key.app.clone(), name.clone())
}
