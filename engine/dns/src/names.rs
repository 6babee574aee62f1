//! Who has which name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use homeostat_files::{StateError, read_json, write_json};
use homeostat_network::{InterfaceName, Subnet};
use serde::{Deserialize, Serialize};

/// Name of the file of [`Names`] in the process's directory.
pub const NAMES_FILE: &str = "names.json";

/// The port of name servers.
const PORT: u16 = 53;

/// The domain that containers search first. Nothing of it is ever asked of another name server; `internal` is reserved for
/// private use.
pub const ZONE: &str = "homeostat.internal";

/// Every bridge of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The bridges with what is asked and answered on each.
    pub networks: BTreeMap<InterfaceName, NetworkNames>,
}

/// A bridge, and who is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNames {
    /// The subnet of the bridge, whose gateway address is that of the name server.
    pub subnet: Subnet,
    /// Nothing is asked of the host's name servers.
    pub internal: bool,
    /// The port to listen at, if it is free.
    pub port: Option<u16>,
    /// Who is on it. No two have the same address.
    pub containers: Vec<ContainerName>,
}

/// A container on a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerName {
    /// Its app.
    pub app: String,
    /// Its name in the app.
    pub name: String,
    /// Other names by which containers of its app find it on this network, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Name servers that are asked for it in place of the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
}

/// What the process says when it has read the names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The ports at which it listens, of both protocols.
    pub ports: BTreeMap<InterfaceName, u16>,
    /// What did not work, for people.
    pub troubles: Vec<String>,
}

impl Names {
    /// Writes them to the process's directory, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), StateError> {
        write_json(directory.join(NAMES_FILE), self)
    }

    /// Reads what was last saved; nothing when nothing was.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn load(directory: &Path) -> Result<Self, StateError> {
        Ok(read_json(directory.join(NAMES_FILE))?.unwrap_or_default())
    }

    /// The networks of somebody who asks with this address on one of them: that one first.
    pub(crate) fn of<'a>(
        &'a self,
        network: &'a NetworkNames,
        asker: Ipv4Addr,
    ) -> impl Iterator<Item = &'a NetworkNames> {
        let others = network.at(asker).into_iter().flat_map(move |asker| {
            let is_on = |other: &ContainerName| other.app == asker.app && other.name == asker.name;
            let others = self.networks.values().filter(|other| other.subnet != network.subnet);
            others.filter(move |other| other.containers.iter().any(is_on))
        });
        std::iter::once(network).chain(others)
    }

    /// Whether the address is one of a bridge's subnet, so that nobody else knows its name.
    pub(crate) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.networks.values().any(|network| network.subnet.contains(address))
    }
}

impl NetworkNames {
    /// The addresses of what somebody of an app means by a name: `NAME` or an alias of the same app, or `NAME.APP`.
    pub(crate) fn find(&self, app: Option<&str>, name: &str) -> Vec<Ipv4Addr> {
        let whole = name.split_once('.');
        let is_meant = |container: &&ContainerName| {
            let same_app = app == Some(&container.app);
            let called = container.name == name || container.aliases.iter().any(|alias| alias == name);
            (same_app && called)
                || whole.is_some_and(|(name, app)| container.name == name && container.app == app)
        };
        self.containers.iter().filter(is_meant).map(|container| container.address).collect()
    }

    /// The container with this address.
    pub(crate) fn at(&self, address: Ipv4Addr) -> Option<&ContainerName> {
        self.containers.iter().find(|container| container.address == address)
    }

    /// The name servers that somebody with this address has of its own.
    pub(crate) fn servers_of(&self, asker: Ipv4Addr) -> Option<Vec<SocketAddr>> {
        let servers = &self.at(asker)?.servers;
        let servers: Vec<_> = servers.iter().map(|server| SocketAddr::new(*server, PORT)).collect();
        (!servers.is_empty()).then_some(servers)
    }

    /// The name by which somebody with this address knows a container.
    pub(crate) fn name_for(&self, asker: Ipv4Addr, container: &ContainerName) -> String {
        let ContainerName { app, name, .. } = container;
        let same_app = self.at(asker).is_some_and(|asker| asker.app == *app);
        if same_app { format!("{name}.{ZONE}") } else { format!("{name}.{app}.{ZONE}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_the_name_servers_of_its_own() {
        let container = |last, servers: &[IpAddr]| ContainerName {
            app: "shop".to_owned(),
            name: format!("web{last}"),
            aliases: Vec::new(),
            address: Ipv4Addr::new(10, 88, 0, last),
            servers: servers.to_vec(),
        };
        let network = NetworkNames {
            subnet: "10.88.0.0/24".parse().unwrap(),
            internal: false,
            port: None,
            containers: vec![container(2, &[[9, 9, 9, 9].into()]), container(3, &[])],
        };
        let own = network.servers_of(Ipv4Addr::new(10, 88, 0, 2));
        assert_eq!(own, Some(vec!["9.9.9.9:53".parse().unwrap()]));
        assert_eq!(network.servers_of(Ipv4Addr::new(10, 88, 0, 3)), None);
        assert_eq!(network.servers_of(Ipv4Addr::new(10, 88, 0, 4)), None);
    }
}
