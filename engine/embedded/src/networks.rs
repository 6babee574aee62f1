//! Networks: bridges, addresses and the rules of published ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use homeostat_files::{StateError, read_json, write_json_durably};
use homeostat_monitor::Network as MonitorNetwork;
use homeostat_network::{
    Allocator, Attachment, BridgeConfig, BridgeRules, DesiredRules, HostPort, HostSocket, InterfaceName, Subnet, Table,
    bridges, choose_subnet, ensure_bridge, occupied_subnets, remove_bridge,
};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{Network, NetworkMode};
use jiff::Timestamp;

use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;
use crate::instance::Instance;
use crate::layout::{Layout, NETWORK_FILE};
use crate::record::NetworkRecord;
use crate::staging::{Staged, discard};

/// Name of the file of an [`Allocator`] in a network's directory.
const ADDRESSES_FILE: &str = "addresses.json";

/// Every network of the engine.
#[derive(Debug)]
pub(crate) struct Networks {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    default: Net,
    named: BTreeMap<ResourceKey, Net>,
    table: Table,
    /// Whether the table may be there.
    has_table: bool,
}

/// One network.
#[derive(Debug)]
struct Net {
    bridge: InterfaceName,
    /// What was asked for; nothing for the default network.
    record: Option<NetworkRecord>,
    /// Its file of addresses.
    file: std::path::PathBuf,
    /// Who has which address; absent until the first container comes.
    addresses: Option<Allocator>,
    /// The bridge was made, or found at work, since the engine was opened.
    up: bool,
}

impl Net {
    fn load(
        bridge: InterfaceName,
        record: Option<NetworkRecord>,
        file: std::path::PathBuf,
    ) -> Result<Self, EmbeddedError> {
        let addresses = match read_json(&file) {
            Ok(addresses) => addresses,
            // What it told is chosen anew.
            Err(StateError::Damaged { .. } | StateError::Unexpected { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { bridge, record, file, addresses, up: false })
    }

    fn is_internal(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.network.internal)
    }

    /// The subnet that was asked for.
    fn fixed_subnet(&self) -> Result<Option<Subnet>, EmbeddedError> {
        let asked = self.record.as_ref().and_then(|record| record.network.subnet.as_deref());
        Ok(asked.map(str::parse).transpose()?)
    }

    fn save(&self) -> Result<(), EmbeddedError> {
        match &self.addresses {
            Some(addresses) => Ok(write_json_durably(&self.file, addresses)?),
            None => Ok(()),
        }
    }
}

impl Networks {
    /// Reads the networks on disk.
    pub(crate) fn load(layout: &Layout, instance: &Instance) -> Result<Self, EmbeddedError> {
        let mut named = BTreeMap::new();
        for key in crate::volumes::keys_beneath(&layout.networks())? {
            let directory = layout.network(&key);
            let record: NetworkRecord = match read_json(directory.join(NETWORK_FILE)) {
                Ok(Some(record)) => record,
                Ok(None) | Err(StateError::Damaged { .. } | StateError::Unexpected { .. }) => {
                    tracing::warn!(network = %key, "what is known of a network is damaged; it is forgotten");
                    discard(layout, &directory)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let net = Net::load(instance.bridge(&key), Some(record), directory.join(ADDRESSES_FILE))?;
            named.insert(key, net);
        }
        // A name has no dot: no app's directory is called so.
        let file = layout.networks().join("default.json");
        let default = Net::load(instance.default_bridge(), None, file)?;
        let table = Table::new(instance.table());
        Ok(Self { state: Mutex::new(State { default, named, table, has_table: false }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The networks that were created, as they were asked for.
    pub(crate) fn observed(&self) -> BTreeMap<ResourceKey, Network> {
        let state = self.lock();
        let record = |net: &Net| net.record.as_ref().map(|record| record.network.clone());
        state.named.iter().filter_map(|(key, net)| Some((key.clone(), record(net)?))).collect()
    }

    pub(crate) fn contains(&self, key: &ResourceKey) -> bool {
        self.lock().named.contains_key(key)
    }

    /// The address of a container, if its network has given it one.
    pub(crate) fn address(&self, container: &ResourceKey, mode: &NetworkMode) -> Option<Ipv4Addr> {
        let mut state = self.lock();
        state.net(container, mode).ok()??.addresses.as_ref()?.get(&container.to_string())
    }
}

impl State {
    /// The network that a container is on; `None` when it is on no bridge.
    fn net(
        &mut self,
        container: &ResourceKey,
        mode: &NetworkMode,
    ) -> Result<Option<&mut Net>, EmbeddedError> {
        match network_key(container, mode) {
            Some(key) => self.named.get_mut(&key).map(Some).ok_or(EmbeddedError::NoNetwork(key)),
            None if *mode == NetworkMode::Bridge => Ok(Some(&mut self.default)),
            None => Ok(None),
        }
    }

    fn nets(&self) -> impl Iterator<Item = &Net> {
        std::iter::once(&self.default).chain(self.named.values())
    }

    /// The subnets of all networks but the one with this bridge.
    fn subnets_of_others(&self, bridge: &InterfaceName) -> Vec<Subnet> {
        let others = self.nets().filter(|net| net.bridge != *bridge);
        others.filter_map(|net| Some(net.addresses.as_ref()?.subnet())).collect()
    }
}

/// The key of the network that a container is on, unless it is the default one or none.
pub(crate) fn network_key(container: &ResourceKey, mode: &NetworkMode) -> Option<ResourceKey> {
    match mode {
        NetworkMode::Named(name) => Some(ResourceKey::new(container.app.clone(), name.clone())),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => None,
    }
}

impl Inner {
    /// Creates a network, unless it exists. Its bridge is made with the first container that starts on it.
    pub(crate) fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), EmbeddedError> {
        let mut state = self.networks.lock();
        if let Some(known) = state.named.get(key) {
            let same = known.record.as_ref().is_some_and(|record| record.network == *network);
            return if same { Ok(()) } else { Err(EmbeddedError::DifferentNetwork(key.clone())) };
        }
        if let Some(subnet) = &network.subnet {
            let parsed: Subnet = subnet.parse()?;
            if !parsed.has_room() {
                return Err(EmbeddedError::SubnetTooSmall(subnet.clone()));
            }
        }
        let record =
            NetworkRecord { key: key.clone(), network: network.clone(), created_at: Timestamp::now() };
        let staged = Staged::create(&self.layout)?;
        write_json_durably(staged.path().join(NETWORK_FILE), &record)?;
        let directory = self.layout.network(key);
        staged.put(&directory)?;
        let net = Net::load(self.instance.bridge(key), Some(record), directory.join(ADDRESSES_FILE))?;
        state.named.insert(key.clone(), net);
        Ok(())
    }

    /// Removes a network that no container is on.
    pub(crate) fn remove_network(&self, key: &ResourceKey) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        let mut state = self.networks.lock();
        let Some(net) = state.named.get(key) else { return Ok(()) };
        let used = containers.iter().find(|container| {
            network_key(&container.key, &container.lock().record.config.network).as_ref() == Some(key)
        });
        if let Some(container) = used {
            return Err(EmbeddedError::NetworkInUse {
                network: key.clone(),
                container: container.key.clone(),
            });
        }
        remove_bridge(&HostSocket::open()?, &net.bridge)?;
        discard(&self.layout, &self.layout.network(key))?;
        state.named.remove(key);
        self.apply_rules(&mut state, &containers)
    }

    /// Connects a container that is about to start: its bridge is there after this, and its address its own.
    pub(crate) fn connect(&self, container: &Container) -> Result<MonitorNetwork, EmbeddedError> {
        let mode = container.lock().record.config.network.clone();
        match mode {
            NetworkMode::Host => return Ok(MonitorNetwork::Host),
            NetworkMode::None => return Ok(MonitorNetwork::None),
            NetworkMode::Bridge | NetworkMode::Named(_) => {}
        }
        let mut state = self.networks.lock();
        let host = HostSocket::open()?;
        self.choose_subnet(&mut state, &host, container, &mode)?;
        let net = state.net(&container.key, &mode)?.expect("a container on a bridge has a network");
        let addresses = net.addresses.as_mut().expect("a network with a subnet has addresses");
        let key = container.key.to_string();
        let known = addresses.get(&key).is_some();
        let address = addresses.allocate(&key)?;
        let (subnet, gateway) = (addresses.subnet(), addresses.gateway());
        if !known {
            net.save()?;
        }
        ensure_bridge(&host, &BridgeConfig { name: net.bridge.clone(), subnet, mtu: None })?;
        net.up = true;
        Ok(MonitorNetwork::Bridge(Attachment {
            bridge: net.bridge.clone(),
            host_interface: Instance::host_interface(&container.id),
            address,
            prefix: subnet.prefix(),
            gateway: (!net.is_internal()).then_some(gateway),
            mtu: None,
        }))
    }

    /// Gives the network of a container a subnet, if it has none or, while its bridge is not there, another program
    /// has taken it meanwhile.
    fn choose_subnet(
        &self,
        state: &mut State,
        host: &HostSocket,
        container: &Container,
        mode: &NetworkMode,
    ) -> Result<(), EmbeddedError> {
        let net = state.net(&container.key, mode)?.expect("a container on a bridge has a network");
        if net.up && net.addresses.is_some() {
            return Ok(());
        }
        let (bridge, fixed) = (net.bridge.clone(), net.fixed_subnet()?);
        let present = net.addresses.as_ref().map(Allocator::subnet);
        let here = bridges(host, bridge.as_str())?.contains(&bridge);
        if here && present.is_some() {
            return Ok(());
        }
        let mut taken = state.subnets_of_others(&bridge);
        if !here {
            taken.extend(occupied_subnets(host)?);
        }
        let collides = |subnet: Subnet| taken.iter().find(|taken| taken.overlaps(&subnet)).copied();
        let subnet = match (fixed, present) {
            (Some(fixed), _) => match collides(fixed) {
                Some(taken) => {
                    let (subnet, taken) = (fixed.to_string(), taken.to_string());
                    return Err(EmbeddedError::SubnetTaken { subnet, taken });
                }
                None => fixed,
            },
            (None, Some(present)) if collides(present).is_none() => present,
            (None, _) => choose_subnet(&taken)?,
        };
        if present == Some(subnet) {
            return Ok(());
        }
        let net = state.net(&container.key, mode)?.expect("a container on a bridge has a network");
        net.addresses = Some(Allocator::new(subnet));
        net.save()
    }

    /// Gives back what a removed container had of its network; a bridge that no container needs goes too.
    pub(crate) fn disconnect(
        &self,
        container: &ResourceKey,
        mode: &NetworkMode,
    ) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        let mut state = self.networks.lock();
        let Ok(Some(net)) = state.net(container, mode) else { return Ok(()) };
        if net.addresses.as_mut().is_some_and(|addresses| addresses.release(&container.to_string()).is_some()) {
            net.save()?;
        }
        let network = network_key(container, mode);
        let needed = containers.iter().any(|other| {
            let mode = &other.lock().record.config.network;
            let bridged = matches!(mode, NetworkMode::Bridge | NetworkMode::Named(_));
            bridged && network_key(&other.key, mode) == network && other.key != *container
        });
        if needed || !net.up {
            return Ok(());
        }
        remove_bridge(&HostSocket::open()?, &net.bridge)?;
        net.up = false;
        self.apply_rules(&mut state, &containers)
    }

    /// Makes the firewall's rules what the running containers need.
    pub(crate) fn sync_rules(&self) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        self.apply_rules(&mut self.networks.lock(), &containers)
    }

    fn apply_rules(&self, state: &mut State, containers: &[Arc<Container>]) -> Result<(), EmbeddedError> {
        let mut desired = DesiredRules::default();
        for net in state.nets().filter(|net| net.up) {
            if let Some(addresses) = &net.addresses {
                let rules = BridgeRules { subnet: addresses.subnet(), internal: net.is_internal() };
                desired.bridges.insert(net.bridge.clone(), rules);
            }
        }
        if desired.bridges.is_empty() {
            if std::mem::take(&mut state.has_table) {
                state.table.remove()?;
            }
            return Ok(());
        }
        for container in containers {
            publish(state, container, &mut desired)?;
        }
        state.has_table = true;
        state.table.apply(&desired)?;
        Ok(())
    }

    /// At the opening of the engine: knows the bridges of the containers that run, gives back addresses of containers
    /// that are gone, and brings the rules up to date.
    pub(crate) fn resume_networks(&self) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        let mut state = self.networks.lock();
        let host = HostSocket::open()?;
        let mut existing = bridges(&host, self.instance.default_bridge().as_str())?;
        existing.extend(bridges(&host, "hs-")?);
        let State { default, named, .. } = &mut *state;
        for (key, net) in std::iter::once((None, default)).chain(named.iter_mut().map(|(key, net)| (Some(key), net)))
        {
            net.up = existing.contains(&net.bridge);
            let on_it: Vec<String> = containers
                .iter()
                .filter(|container| {
                    let mode = &container.lock().record.config.network;
                    matches!(mode, NetworkMode::Bridge | NetworkMode::Named(_))
                        && network_key(&container.key, mode).as_ref() == key
                })
                .map(|container| container.key.to_string())
                .collect();
            let Some(addresses) = &mut net.addresses else { continue };
            let gone: Vec<String> =
                addresses.iter().map(|(key, _)| key.to_owned()).filter(|key| !on_it.contains(key)).collect();
            for key in &gone {
                addresses.release(key);
            }
            if !gone.is_empty() {
                net.save()?;
            }
            if on_it.is_empty() && net.up {
                remove_bridge(&host, &net.bridge)?;
                net.up = false;
            }
        }
        // What an earlier process of the engine has left may be there, needed or not.
        state.has_table = true;
        self.apply_rules(&mut state, &containers)
    }

    /// Names of the other containers of the app on the same network, for `/etc/hosts`.
    pub(crate) fn neighbours(&self, container: &Container) -> Vec<(Ipv4Addr, String)> {
        let mode = container.lock().record.config.network.clone();
        if !matches!(mode, NetworkMode::Bridge | NetworkMode::Named(_)) {
            return Vec::new();
        }
        let others = self.containers();
        let same = others.iter().filter(|other| {
            other.key != container.key
                && other.key.app == container.key.app
                && other.lock().record.config.network == mode
        });
        same.filter_map(|other| {
            Some((self.networks.address(&other.key, &mode)?, other.key.name.to_string()))
        })
        .collect()
    }
}

/// Adds the published ports of a container that runs.
fn publish(
    state: &mut State,
    container: &Container,
    desired: &mut DesiredRules,
) -> Result<(), EmbeddedError> {
    let record = container.record();
    if record.config.ports.is_empty() || container.live()?.is_none() {
        return Ok(());
    }
    let Some(net) = state.net(&container.key, &record.config.network)? else { return Ok(()) };
    let address = net.addresses.as_ref().and_then(|addresses| addresses.get(&container.key.to_string()));
    let Some(address) = address else { return Ok(()) };
    for port in &record.config.ports {
        desired.published.insert(HostPort::from(port), SocketAddrV4::new(address, port.container_port));
    }
    Ok(())
}

/// Name servers of the host that a container can reach.
pub(crate) fn name_servers(network: &MonitorNetwork) -> homeostat_monitor::Dns {
    let mut dns = read_resolv_conf("/etc/resolv.conf");
    if matches!(network, MonitorNetwork::Host) {
        return dns;
    }
    let reachable = |address: &IpAddr| address.is_ipv4() && !address.is_loopback();
    dns.servers.retain(reachable);
    if dns.servers.is_empty() {
        // systemd-resolved listens on loopback, and keeps the servers that it asks itself here.
        dns = read_resolv_conf("/run/systemd/resolve/resolv.conf");
        dns.servers.retain(reachable);
    }
    dns
}

fn read_resolv_conf(path: &str) -> homeostat_monitor::Dns {
    parse_resolv_conf(&fs::read_to_string(path).unwrap_or_default())
}

/// See `resolv.conf(5)`.
fn parse_resolv_conf(text: &str) -> homeostat_monitor::Dns {
    let mut dns = homeostat_monitor::Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => dns.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
            Some("search" | "domain") => dns.search = words.map(str::to_owned).collect(),
            Some("options") => dns.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_configuration_is_read_with_comments_and_options() {
        let dns = parse_resolv_conf(
            "# made by hand\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2 edns0\n",
        );
        assert_eq!(dns.servers, ["10.0.0.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(dns.search, ["a.example", "b.example"]);
        assert_eq!(dns.options, ["ndots:2", "edns0"]);
    }
}
