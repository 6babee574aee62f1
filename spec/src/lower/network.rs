//! `[network.*]`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::Lowering;
use crate::file::{AdoptValue, ContainerTable};
use crate::problem::Problem;
use crate::scalar::NetworkName;
use crate::{Endpoint, Name, Network, NetworkMode};

/// As many interfaces as a container has use for; each is a pair of links on the host.
const MOST_NETWORKS: usize = 16;

impl Lowering<'_> {
    pub(super) fn networks(&mut self) -> BTreeMap<Name, Network> {
        let mut networks = BTreeMap::new();
        for (name, table) in self.file.network.iter() {
            if NetworkName::RESERVED.contains(&name.as_str()) {
                let problem = Problem::new(format!("no network can be called `{name}`")).hint(
                    "as the `network` of a container the word has a meaning of its own; choose another name",
                );
                self.document.error_at(&["network", name.as_str()], problem);
            }
            let subnet = table.subnet.as_ref().map(|subnet| subnet.to_string());
            let labels = table.labels.as_written().clone();
            let adopt = table.adopt.as_ref().and_then(AdoptValue::adopt);
            networks.insert(name, Network { subnet, internal: table.internal, adopt, labels });
        }
        networks
    }

    /// What a container is connected to, with what that rules out reported.
    pub(super) fn container_networks(&mut self, container: &str) -> (NetworkMode, BTreeMap<Name, Endpoint>) {
        let Some(table) = self.file.container.get(container) else { return Default::default() };
        let mode = match &table.network {
            Some(network) => network.0.0.clone(),
            None => self.way_out(table).map_or(NetworkMode::Bridge, NetworkMode::Named),
        };
        self.network_mode(container, table, &mode);
        let mut networks = self.endpoints(container, table, &mode);
        // What says nothing is no change.
        networks.retain(|name, endpoint| mode != NetworkMode::Named(name.clone()) || !endpoint.is_default());
        (mode, networks)
    }

    /// The network of those of a container that leads out: the first that is not internal.
    fn way_out(&self, table: &ContainerTable) -> Option<Name> {
        let is_internal = |name: &Name| self.file.network.get(name.as_str()).is_some_and(|net| net.internal);
        let names: Vec<Name> = table.networks.iter().map(|(name, _)| name).collect();
        names.iter().find(|name| !is_internal(name)).or(names.first()).cloned()
    }

    fn network_mode(&mut self, container: &str, table: &ContainerTable, mode: &NetworkMode) {
        if let (NetworkMode::Named(name), Some(_)) = (mode, &table.network) {
            self.require_declared("network", name.as_str(), &["container", container, "network"]);
        }
        if matches!(mode, NetworkMode::Host | NetworkMode::None) && !table.ports.is_empty() {
            let problem = Problem::new(format!("ports cannot be published with `network = \"{mode}\"`"))
                .hint(match mode {
                    NetworkMode::Host => "the container's ports are the host's already: remove `ports`",
                    _ => "remove `ports`, or connect the container to a network",
                });
            self.document.error_at(&["container", container, "ports"], problem);
        }
        if matches!(mode, NetworkMode::Host | NetworkMode::None) && table.publish_all {
            let problem = Problem::new(format!("ports cannot be published with `network = \"{mode}\"`"))
                .hint("remove `publish_all`");
            self.document.error_at(&["container", container, "publish_all"], problem);
        }
        if matches!(mode, NetworkMode::Host | NetworkMode::None) && table.networks.iter().next().is_some() {
            let problem = Problem::new(format!("with `network = \"{mode}\"` a container is on no other"))
                .hint("remove `network` or `networks`");
            self.document.error_at(&["container", container, "networks"], problem);
        }
    }

    fn endpoints(
        &mut self,
        container: &str,
        table: &ContainerTable,
        mode: &NetworkMode,
    ) -> BTreeMap<Name, Endpoint> {
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in table.networks.iter() {
            let path = ["container", container, "networks", name.as_str()];
            self.require_declared("network", name.as_str(), &path);
            let address = endpoint.address.as_ref().map(|address| address.0);
            if let Some(address) = address {
                self.address(container, &name, address);
            }
            let aliases = endpoint.aliases.iter().map(|(_, alias)| alias.0.0.clone()).collect();
            endpoints.insert(name, Endpoint { aliases, address });
        }
        if endpoints.len() + usize::from(matches!(mode, NetworkMode::Bridge)) > MOST_NETWORKS {
            let problem = Problem::new(format!("a container can be on {MOST_NETWORKS} networks"))
                .hint("put those that belong together on one");
            self.document.error_at(&["container", container, "networks"], problem);
        }
        endpoints
    }

    /// Reports an address that the container cannot have.
    fn address(&mut self, container: &str, network: &Name, address: Ipv4Addr) {
        let subnet = self.file.network.get(network.as_str()).and_then(|net| net.subnet.as_ref());
        let claims = |(other, table): (Name, &ContainerTable)| {
            let endpoint = table.networks.get(network.as_str())?;
            let same = endpoint.address.as_ref().is_some_and(|claimed| claimed.0 == address);
            (same && other.as_str() != container).then_some(other)
        };
        let other = self.file.container.iter().find_map(claims);
        let problem = match (subnet, other) {
            (None, _) => Problem::new(format!(
                "the network `{network}` has no `subnet`, which addresses are of"
            ))
            .hint(format!("give [network.{network}] a subnet that has {address}, or leave the address out")),
            (Some(subnet), _) if !subnet.0.has_room_at(address) => Problem::new(format!(
                "{address} is no address for containers of {}",
                subnet.0
            ))
            .hint(
                "choose one in the subnet that is neither its first, its second, the gateway's, nor its last",
            ),
            (Some(_), Some(other)) => Problem::new(format!("`{other}` has the address {address} too"))
                .hint("give each container an address of its own"),
            (Some(_), None) => return,
        };
        let path = ["container", container, "networks", network.as_str(), "address"];
        self.document.error_at(&path, problem);
    }
}
