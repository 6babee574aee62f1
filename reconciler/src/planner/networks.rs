//! Networks: created when missing, and created anew when changed, which takes their containers off them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use homeostat_spec::Network;

use super::needs::Need;
use super::subject::Course;
use super::{Node, Planner};
use crate::changes::network_changes;
use crate::{Action, Cause, FieldChange, Observed, ResourceId, ResourceKey, ResourceKind, WaitReason};

/// A declared network that is missing or changed.
struct Wanted<'a> {
    network: &'a Network,
    /// What differs; empty if it is missing.
    changes: Vec<FieldChange>,
    /// Networks that have to be removed first: itself if it changed, and those that have its subnet.
    obstacles: BTreeSet<ResourceKey>,
    /// Networks that are declared with the subnet that this one happens to have, though none is
    /// declared for it: it takes another one, after they have theirs.
    gives_way_to: BTreeSet<ResourceKey>,
}

fn id(key: &ResourceKey) -> ResourceId {
    ResourceId::Declared(ResourceKind::Network, key.clone())
}

impl<'a> Planner<'a> {
    pub(super) fn plan_networks(&mut self) {
        let all = self.wanted_networks();
        let stuck = self.stuck_networks(&all);
        let mut creations = BTreeMap::new();
        for (key, wanted) in &all {
            let need = match stuck.get(key) {
                Some(_) if !wanted.gives_way_to.is_empty() => Need::Here,
                Some(by) => {
                    if *by != id(key) {
                        self.wait(id(key), WaitReason::Blocked { by: by.clone() }, None);
                    }
                    Need::Missing(id(key))
                }
                None => {
                    let node = self.create_network(key, wanted);
                    creations.insert(key, node);
                    Need::Made(node)
                }
            };
            self.networks.insert(key.clone(), need);
        }
        for (key, node) in &creations {
            for other in all[*key].gives_way_to.iter().filter_map(|other| creations.get(other)) {
                self.graph.order(*other, *node);
            }
        }
    }

    fn wanted_networks(&mut self) -> BTreeMap<ResourceKey, Wanted<'a>> {
        let mut wanted = BTreeMap::new();
        let mut leaving = self.undeclared_networks();
        let declared = self.declared_networks();
        for (key, network) in &declared {
            let mut changes = Vec::new();
            let mut gives_way_to = BTreeSet::new();
            if let Some(actual) = self.observed.networks.get(key) {
                changes = network_changes(key.name.as_str(), network, actual);
                if network.subnet.is_none() {
                    gives_way_to = in_need_of(actual, &declared, self.observed);
                }
                if !gives_way_to.is_empty() {
                    changes.push(subnet_given_up(key, actual));
                }
                if changes.is_empty() || self.is_stalled(&id(key), &changes) {
                    self.networks.insert(key.clone(), Need::Here);
                    continue;
                }
                leaving.insert(key.clone());
            }
            wanted.insert(key.clone(), Wanted { network, changes, obstacles: BTreeSet::new(), gives_way_to });
        }
        for (key, wanted) in &mut wanted {
            let in_the_way = |other: &&ResourceKey| {
                *other == key
                    || self.observed.networks.get(*other).is_some_and(|o| overlap(o, wanted.network))
            };
            wanted.obstacles = leaving.iter().filter(in_the_way).cloned().collect();
        }
        wanted
    }

    fn declared_networks(&self) -> BTreeMap<ResourceKey, &'a Network> {
        let networks = self.desired.apps.values().flat_map(|app| {
            app.networks
                .iter()
                .map(|(name, network)| (ResourceKey::new(app.name.clone(), name.clone()), network))
        });
        networks.collect()
    }

    /// Networks that are there, declared nowhere and not protected.
    pub(super) fn undeclared_networks(&self) -> BTreeSet<ResourceKey> {
        let declared = |key: &ResourceKey| {
            self.desired.apps.get(&key.app).is_some_and(|app| app.networks.contains_key(&key.name))
        };
        let keys = self.observed.networks.keys();
        keys.filter(|key| !declared(key) && !self.is_protected(key)).cloned().collect()
    }

    /// The wanted networks that cannot be created now, and what keeps them from it.
    fn stuck_networks(
        &mut self,
        wanted: &BTreeMap<ResourceKey, Wanted<'_>>,
    ) -> BTreeMap<ResourceKey, ResourceId> {
        let mut stuck = BTreeMap::new();
        let obstacles: BTreeSet<&ResourceKey> =
            wanted.values().flat_map(|wanted| &wanted.obstacles).collect();
        for key in wanted.keys().chain(obstacles.iter().copied().filter(|key| !wanted.contains_key(*key))) {
            if self.backs_off(&id(key)) {
                stuck.insert(key.clone(), id(key));
            } else if let Some(user) =
                self.users_of_network(key).into_iter().find(|user| !self.can_be_released(user))
            {
                stuck.insert(key.clone(), ResourceId::container(&user));
            }
        }
        loop {
            let blocked =
                wanted.iter().filter(|(key, _)| !stuck.contains_key(*key)).find_map(|(key, wanted)| {
                    let mut others = wanted.obstacles.iter().chain(&wanted.gives_way_to);
                    let obstacle = others.find(|obstacle| stuck.contains_key(*obstacle))?;
                    Some((key.clone(), id(obstacle)))
                });
            let Some((key, by)) = blocked else { return stuck };
            stuck.insert(key, by);
        }
    }

    fn create_network(&mut self, key: &ResourceKey, wanted: &Wanted<'_>) -> Node {
        let action = Action::CreateNetwork { network: wanted.network.clone() };
        let cause =
            if wanted.changes.is_empty() { Cause::Missing } else { Cause::Changed(wanted.changes.clone()) };
        let create = self.graph.add(id(key), action, cause.clone(), []);
        for obstacle in &wanted.obstacles {
            let cause = if obstacle == key { cause.clone() } else { Cause::NotDeclared };
            let removal = self.remove_network(obstacle, cause);
            self.graph.order(removal, create);
            self.late_networks.insert(key.clone());
            for user in self.users_of_network(obstacle) {
                self.yielding.insert(user.clone());
                if obstacle == key
                    && let Some(subject) = self.subjects.get_mut(&user)
                    && subject.course == Course::Settle
                {
                    subject.course = Course::Replace(Cause::Changed(wanted.changes.clone()));
                }
            }
        }
        create
    }

    /// The step that removes a network, once in a plan. What it comes after is added by [`Planner::prune`].
    pub(super) fn remove_network(&mut self, key: &ResourceKey, cause: Cause) -> Node {
        if let Some(node) = self.network_removals.get(key) {
            return *node;
        }
        let node = self.graph.add(id(key), Action::RemoveNetwork, cause, []);
        self.network_removals.insert(key.clone(), node);
        node
    }

    /// Containers that are on a network now.
    pub(super) fn users_of_network(&self, network: &ResourceKey) -> Vec<ResourceKey> {
        let containers = self.observed.containers.iter();
        containers
            .filter(|(key, container)| key.app == network.app && container.config.is_on(&network.name))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Whether a container can be removed in this plan so that its successor can be created.
    fn can_be_released(&self, key: &ResourceKey) -> bool {
        let Some(subject) = self.subjects.get(key) else { return false };
        match (&subject.course, subject.declared) {
            (Course::Remove, _) => true,
            (Course::Replace(_) | Course::Settle, Some(container)) => self.supplies(key, container).is_ok(),
            _ => false,
        }
    }
}

/// The declared networks that are still to get a subnet which `actual` has.
fn in_need_of(
    actual: &Network,
    declared: &BTreeMap<ResourceKey, &Network>,
    observed: &Observed,
) -> BTreeSet<ResourceKey> {
    let has_it = |key: &ResourceKey, network: &Network| {
        observed.networks.get(key).is_some_and(|there| there.subnet == network.subnet)
    };
    let in_need = declared.iter().filter(|(key, network)| overlap(actual, network) && !has_it(key, network));
    in_need.map(|(key, _)| key.clone()).collect()
}

fn subnet_given_up(key: &ResourceKey, actual: &Network) -> FieldChange {
    let field = format!("network.{}.subnet", key.name);
    FieldChange { field, old: actual.subnet.clone(), new: None }
}

fn overlap(one: &Network, other: &Network) -> bool {
    let range = |network: &Network| network.subnet.as_deref().and_then(parse);
    let (Some((a, a_bits)), Some((b, b_bits))) = (range(one), range(other)) else { return false };
    let shorter = a_bits.min(b_bits);
    let prefix = |address: Ipv4Addr| u64::from(u32::from(address)) >> (32 - shorter);
    prefix(a) == prefix(b)
}

/// The address and the prefix length of a subnet.
fn parse(subnet: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, bits) = subnet.split_once('/')?;
    let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some((address.parse().ok()?, bits))
}
