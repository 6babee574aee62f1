//! Networks: bridges, addresses and the rules of published ports.

mod connect;
mod names;
mod responder;
mod rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homeostat_files::{read_json, write_json_durably};
use homeostat_network::{Allocator, HostSocket, InterfaceName, Subnet, Table, remove_bridge};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{ContainerConfig, Endpoint, Network, NetworkMode};
use jiff::Timestamp;

pub(crate) use names::dns;
use responder::Answering;
pub(crate) use responder::keep as keep_responder;

use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::{Inner, is_lost};
use crate::instance::Instance;
use crate::layout::{Layout, NETWORK_FILE};
use crate::record::NetworkRecord;
use crate::staging::{Staged, discard};
use crate::volumes::keys_beneath;

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
    /// The rules could not be kept when that was last tried.
    in_trouble: bool,
    /// Who answers names.
    answering: Answering,
}

/// A network that has a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkId {
    /// The engine's own.
    Default,
    /// One that was created.
    Named(ResourceKey),
}

impl std::fmt::Display for NetworkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Named(key) => write!(f, "{key}"),
        }
    }
}

impl NetworkId {
    /// The network of a container with this key and mode; `None` when it is on no bridge.
    pub(crate) fn of(container: &ResourceKey, mode: &NetworkMode) -> Option<Self> {
        match mode {
            NetworkMode::Bridge => Some(Self::Default),
            NetworkMode::Named(name) => {
                Some(Self::Named(ResourceKey::new(container.app.clone(), name.clone())))
            }
            NetworkMode::Host | NetworkMode::None => None,
        }
    }

    /// Every network of a container with this key and configuration, and how it is on it.
    pub(crate) fn all_of(container: &ResourceKey, config: &ContainerConfig) -> Vec<(Self, Endpoint)> {
        let connections = config.connections();
        connections.filter_map(|(mode, endpoint)| Some((Self::of(container, &mode)?, endpoint))).collect()
    }
}

impl Container {
    /// The networks that it is on, and how; none when it is on no bridge.
    pub(crate) fn networks(&self) -> Vec<(NetworkId, Endpoint)> {
        NetworkId::all_of(&self.key, &self.lock().record.config)
    }

    /// How it is on this network, if it is.
    pub(crate) fn endpoint(&self, network: &NetworkId) -> Option<Endpoint> {
        let mut networks = self.networks().into_iter();
        networks.find(|(id, _)| id == network).map(|(_, endpoint)| endpoint)
    }
}

/// One network with a bridge.
#[derive(Debug)]
struct Net {
    bridge: InterfaceName,
    /// What was asked for; nothing for the default network.
    record: Option<NetworkRecord>,
    /// Its file of addresses.
    file: PathBuf,
    /// Who has which address; absent until the first container comes.
    addresses: Option<Allocator>,
    /// The bridge was made, or found at work, since the engine was opened.
    up: bool,
}

impl Net {
    fn load(
        bridge: InterfaceName,
        record: Option<NetworkRecord>,
        file: PathBuf,
    ) -> Result<Self, EmbeddedError> {
        let addresses = match read_json(&file) {
            Ok(addresses) => addresses,
            // What it told is chosen anew.
            Err(error) if is_lost(&error) => None,
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

    fn address(&self, container: &ResourceKey) -> Option<Ipv4Addr> {
        self.addresses.as_ref()?.get(&container.to_string())
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
        for key in keys_beneath(&layout.networks())? {
            if let Some(net) = load_named(layout, instance, &key)? {
                named.insert(key, net);
            }
        }
        // A name has no dot: no app's directory is called so.
        let file = layout.networks().join("default.json");
        let default = Net::load(instance.default_bridge(), None, file)?;
        let table = Table::new(instance.table());
        let answering = Answering::default();
        let state = State { default, named, table, has_table: false, in_trouble: false, answering };
        Ok(Self { state: Mutex::new(state) })
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

    /// Fails if a container of this network could not be connected.
    pub(crate) fn require(&self, network: &NetworkId) -> Result<(), EmbeddedError> {
        self.lock().net(network).map(drop)
    }

    /// The address of a container on the first of its networks, if that has given it one.
    pub(crate) fn address(&self, container: &ResourceKey, mode: &NetworkMode) -> Option<Ipv4Addr> {
        let network = NetworkId::of(container, mode)?;
        self.lock().net(&network).ok()?.address(container)
    }
}

fn load_named(layout: &Layout, instance: &Instance, key: &ResourceKey) -> Result<Option<Net>, EmbeddedError> {
    let directory = layout.network(key);
    match read_json(directory.join(NETWORK_FILE)) {
        Ok(Some(record)) => {
            Net::load(instance.bridge(key), Some(record), directory.join(ADDRESSES_FILE)).map(Some)
        }
        Err(error) if !is_lost(&error) => Err(error.into()),
        Ok(None) | Err(_) => {
            tracing::warn!(network = %key, "what is known of a network is damaged; it is forgotten");
            discard(layout, &directory)?;
            Ok(None)
        }
    }
}

impl State {
    fn net(&mut self, network: &NetworkId) -> Result<&mut Net, EmbeddedError> {
        match network {
            NetworkId::Default => Ok(&mut self.default),
            NetworkId::Named(key) => {
                self.named.get_mut(key).ok_or_else(|| EmbeddedError::NoNetwork(key.clone()))
            }
        }
    }

    /// The first of these networks that leads out, else the first.
    fn way_out<'a>(&mut self, networks: &'a [(NetworkId, Endpoint)]) -> Option<&'a NetworkId> {
        let mut ids = networks.iter().map(|(network, _)| network);
        let leads_out = |id: &&NetworkId| self.net(id).is_ok_and(|net| !net.is_internal());
        ids.clone().find(leads_out).or_else(|| ids.next())
    }

    fn nets(&self) -> impl Iterator<Item = (NetworkId, &Net)> {
        let named = self.named.iter().map(|(key, net)| (NetworkId::Named(key.clone()), net));
        std::iter::once((NetworkId::Default, &self.default)).chain(named)
    }

    fn ids(&self) -> Vec<NetworkId> {
        self.nets().map(|(id, _)| id).collect()
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
        if let Some(subnet) = &network.subnet
            && !subnet.parse::<Subnet>()?.has_room()
        {
            return Err(EmbeddedError::SubnetTooSmall(subnet.clone()));
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
        if let Some(container) = user_of(&containers, &NetworkId::Named(key.clone())) {
            return Err(EmbeddedError::NetworkInUse { network: key.clone(), container });
        }
        remove_bridge(&HostSocket::open()?, &net.bridge)?;
        discard(&self.layout, &self.layout.network(key))?;
        state.named.remove(key);
        responder::tell(self, &mut state)?;
        rules::apply(&mut state, &containers)
    }
}

/// A container that is on the network.
fn user_of(containers: &[Arc<Container>], network: &NetworkId) -> Option<ResourceKey> {
    let mut users = containers.iter().filter(|container| container.endpoint(network).is_some());
    users.next().map(|container| container.key.clone())
}
