//! What a start waits for: dependencies, and ports that other containers hold.

use std::collections::BTreeMap;

use homeostat_spec::{Container, ContainerConfig, DependencyCondition, Protocol, PublishedPort};

use super::{Node, Planner};
use crate::{ContainerState, ExitStatus, HealthStatus, Observed, ResourceId, ResourceKey, WaitReason};

/// Who publishes which ports of the host.
#[derive(Debug, Default)]
pub(super) struct Ports(BTreeMap<(Protocol, u16), Vec<(PublishedPort, ResourceKey)>>);

impl Ports {
    /// Those of containers that have processes now.
    pub(super) fn of(observed: &Observed) -> Self {
        let alive = observed.containers.iter().filter(|(_, container)| {
            matches!(container.state, ContainerState::Running | ContainerState::Paused)
        });
        Self::declared(alive.map(|(key, container)| (key, &container.config)))
    }

    /// Those that these containers publish when they run.
    pub(super) fn declared<'a>(
        containers: impl Iterator<Item = (&'a ResourceKey, &'a ContainerConfig)>,
    ) -> Self {
        let mut ports = Self::default();
        for (key, config) in containers {
            ports.claim(key, &config.ports);
        }
        ports
    }

    fn claim(&mut self, key: &ResourceKey, ports: &[PublishedPort]) {
        // No other container waits for one that the engine chooses among those that are free.
        for port in ports.iter().filter(|port| !port.is_chosen()) {
            let holders = self.0.entry((port.protocol, port.host_port)).or_default();
            holders.push((port.clone(), key.clone()));
        }
    }

    /// The containers that hold a port, or the same port on an address that it covers or is covered by.
    pub(super) fn holders(&self, port: &PublishedPort) -> impl Iterator<Item = &ResourceKey> {
        let holders = self.0.get(&(port.protocol, port.host_port)).into_iter().flatten();
        holders.filter(move |(held, _)| held.collides_with(port)).map(|(_, key)| key)
    }
}

/// Where a condition on another container stands.
enum Condition {
    Met,
    /// It is met once this step is done.
    After(Node),
    Unmet,
}

impl Planner<'_> {
    /// The steps that have to come before a container that publishes these ports is started.
    ///
    /// # Errors
    /// What it has to wait for beyond this plan.
    pub(super) fn before_start(
        &self,
        key: &ResourceKey,
        container: &Container,
        ports: &[PublishedPort],
    ) -> Result<Vec<Node>, WaitReason> {
        let mut nodes = Vec::new();
        for (name, condition) in &container.depends_on {
            let on = ResourceKey::new(key.app.clone(), name.clone());
            match self.condition(&on, *condition) {
                Condition::Met => {}
                Condition::After(node) => nodes.push(node),
                Condition::Unmet => return Err(WaitReason::Dependency { on, condition: *condition }),
            }
        }
        for port in ports {
            for holder in self.ports.holders(port).filter(|holder| *holder != key) {
                match self.removals.get(holder).or_else(|| self.stops.get(holder)) {
                    // A holder that was removed and is started again in this plan holds its new ports.
                    Some(node) if !self.starts.contains_key(holder) || self.has_given_up(holder, port) => {
                        nodes.push(*node);
                    }
                    _ => return Err(WaitReason::Blocked { by: ResourceId::container(holder) }),
                }
            }
        }
        Ok(nodes)
    }

    /// Whether what a container is started with in this plan does not have this port any more.
    fn has_given_up(&self, holder: &ResourceKey, port: &PublishedPort) -> bool {
        let config = self.subjects[holder].declared.map(|container| &container.config);
        let ports = Ports::declared(config.into_iter().map(|config| (holder, config)));
        ports.holders(port).next().is_none()
    }

    /// Notes that a container is started in this plan.
    pub(super) fn started(&mut self, key: &ResourceKey, ports: &[PublishedPort], node: Node) {
        self.starts.insert(key.clone(), node);
        self.ports.claim(key, ports);
    }

    fn condition(&self, on: &ResourceKey, condition: DependencyCondition) -> Condition {
        let Some(subject) = self.subjects.get(on) else { return Condition::Unmet };
        let checked = subject.declared.is_some_and(|container| container.health.is_some());
        let condition = match condition {
            DependencyCondition::Healthy if !checked => DependencyCondition::Started,
            condition => condition,
        };
        if let Some(start) = self.starts.get(on) {
            return match condition {
                DependencyCondition::Started => Condition::After(*start),
                DependencyCondition::Healthy | DependencyCondition::Completed => Condition::Unmet,
            };
        }
        let actual =
            subject.actual.filter(|_| !self.stops.contains_key(on) && !self.removals.contains_key(on));
        let Some(actual) = actual else { return Condition::Unmet };
        let alive = matches!(actual.state, ContainerState::Running | ContainerState::Paused);
        let exited = actual.state == ContainerState::Exited;
        let met = match condition {
            // One that has ended as its spec allows was started, and will not be again.
            DependencyCondition::Started => {
                let kept = self.desired.overrides.contains_key(on);
                alive || (exited && subject.is_left_alone() && !kept)
            }
            DependencyCondition::Healthy => {
                let health = self.record.containers.get(on).map(|known| &known.health);
                alive
                    && health.is_some_and(|health| {
                        health.status == HealthStatus::Healthy && health.run == actual.started_at
                    })
            }
            DependencyCondition::Completed => {
                exited && !subject.is_started_again() && actual.exit.as_ref().is_some_and(ExitStatus::success)
            }
        };
        if met { Condition::Met } else { Condition::Unmet }
    }
}
