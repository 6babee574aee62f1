//! Connecting containers to bridges: subnets, addresses, and bridges that come and go with them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use homeostat_monitor::Network as MonitorNetwork;
use homeostat_network::{
    Allocator, Attachment, BridgeConfig, HostSocket, Subnet, bridges, choose_subnet, ensure_bridge,
    occupied_subnets, remove_bridge,
};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{Endpoint, NetworkMode};

use super::{NetworkId, State, responder, rules, user_of};
use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;
use crate::instance::Instance;

impl Inner {
    /// Connects a container that is about to start: its bridge is there after this, and its address its own.
    pub(crate) fn connect(&self, container: &Container) -> Result<MonitorNetwork, EmbeddedError> {
        let networks = container.networks();
        if networks.is_empty() {
            let host = container.lock().record.config.network == NetworkMode::Host;
            return Ok(if host { MonitorNetwork::Host } else { MonitorNetwork::None });
        }
        let containers = self.containers();
        let mut state = self.networks.lock();
        let host = HostSocket::open()?;
        let way_out = state.way_out(&networks).cloned();
        let mut attachments = Vec::with_capacity(networks.len());
        for (index, (network, endpoint)) in networks.iter().enumerate() {
            let (subnet, address) = address(&mut state, &host, container, (network, endpoint), &containers)?;
            let net = state.net(network)?;
            ensure_bridge(&host, &BridgeConfig { name: net.bridge.clone(), subnet, mtu: None })?;
            net.up = true;
            let leads_out = way_out.as_ref() == Some(network) && !net.is_internal();
            attachments.push(Attachment {
                bridge: net.bridge.clone(),
                host_interface: Instance::host_interface(&container.id, index),
                interface: Instance::container_interface(index),
                address,
                prefix: subnet.prefix(),
                gateway: leads_out.then(|| subnet.gateway()),
                mtu: None,
            });
        }
        // The first thing that a program does may be to look up a name.
        responder::tell(self, &mut state)?;
        rules::apply(&mut state, &containers)?;
        Ok(MonitorNetwork::Bridges(attachments))
    }

    /// Gives back what a removed container had of its networks; a bridge that no container needs goes too.
    pub(crate) fn disconnect(
        &self,
        container: &ResourceKey,
        networks: &[(NetworkId, Endpoint)],
    ) -> Result<(), EmbeddedError> {
        if networks.is_empty() {
            return Ok(());
        }
        let containers = self.containers();
        let mut state = self.networks.lock();
        let (mut is_up, mut gone) = (false, false);
        for (network, _) in networks {
            // A network is not removed before its containers.
            let Ok(net) = state.net(network) else { continue };
            let addresses = net.addresses.as_mut();
            if addresses.and_then(|addresses| addresses.release(&container.to_string())).is_some() {
                net.save()?;
            }
            is_up |= net.up;
            if net.up && user_of(&containers, network).is_none() {
                remove_bridge(&HostSocket::open()?, &net.bridge)?;
                net.up = false;
                gone = true;
            }
        }
        if is_up {
            responder::tell(self, &mut state)?;
        }
        if gone { rules::apply(&mut state, &containers) } else { Ok(()) }
    }

    /// At the opening of the engine: knows the bridges that are there, gives back addresses of containers that are
    /// gone, removes bridges that none needs, has names answered, and brings the rules up to date.
    pub(crate) fn resume_networks(&self) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        let mut state = self.networks.lock();
        let host = HostSocket::open()?;
        let existing = bridges(&host, "")?;
        for network in state.ids() {
            let on_it: BTreeSet<String> = containers
                .iter()
                .filter(|container| container.endpoint(&network).is_some())
                .map(|container| container.key.to_string())
                .collect();
            let net = state.net(&network)?;
            net.up = existing.contains(&net.bridge);
            if net.up && on_it.is_empty() {
                match remove_bridge(&host, &net.bridge) {
                    Ok(()) => net.up = false,
                    Err(error) => tracing::warn!(%network, %error, "a bridge that nobody needs stays"),
                }
            }
            let Some(addresses) = &mut net.addresses else { continue };
            let gone: Vec<String> =
                addresses.iter().map(|(key, _)| key.to_owned()).filter(|key| !on_it.contains(key)).collect();
            for key in &gone {
                addresses.release(key);
            }
            if !gone.is_empty()
                && let Err(error) = net.save()
            {
                // On a full disk; the next opening gives them back again.
                tracing::warn!(%network, %error, "addresses that were given back cannot be noted");
            }
        }
        let told = responder::tell(self, &mut state);
        rules::resume(&mut state, &containers)?;
        told
    }
}

/// The address of a container that is about to start, with the network's subnet. It keeps the one that it has.
fn address(
    state: &mut State,
    host: &HostSocket,
    container: &Container,
    (network, endpoint): (&NetworkId, &Endpoint),
    containers: &[Arc<Container>],
) -> Result<(Subnet, Ipv4Addr), EmbeddedError> {
    let subnet = subnet(state, host, network)?;
    let net = state.net(network)?;
    let before = net.addresses.take();
    let mut addresses =
        before.filter(|addresses| addresses.subnet() == subnet).unwrap_or_else(|| Allocator::new(subnet));
    let key = container.key.to_string();
    let known = addresses.get(&key);
    let given = if let Some(address) = endpoint.address {
        assign(&mut addresses, &key, address, containers)
    } else {
        let others = containers.iter().filter(|other| other.key != container.key);
        let reserved = others.filter_map(|other| other.endpoint(network)?.address).collect();
        addresses.allocate(&key, &reserved).map_err(EmbeddedError::from)
    };
    net.addresses = Some(addresses);
    let given = given?;
    if known != Some(given) {
        net.save()?;
    }
    Ok((subnet, given))
}

/// Gives a container the address that its spec says. Another one that has it by chance gets another when it starts again.
fn assign(
    addresses: &mut Allocator,
    key: &str,
    address: Ipv4Addr,
    containers: &[Arc<Container>],
) -> Result<Ipv4Addr, EmbeddedError> {
    if let Err(taken) = addresses.assign(key, address) {
        let holder = containers.iter().find(|other| other.key.to_string() == taken.holder);
        if holder.is_some_and(|holder| holder.runs_now()) {
            return Err(taken.into());
        }
        addresses.release(&taken.holder);
        addresses.assign(key, address)?;
    }
    Ok(address)
}

/// The subnet of a network: the one that it has, unless its bridge is not there and another program has taken it
/// meanwhile; else the one asked for, or a free one.
fn subnet(state: &mut State, host: &HostSocket, network: &NetworkId) -> Result<Subnet, EmbeddedError> {
    let net = state.net(network)?;
    let present = net.addresses.as_ref().map(Allocator::subnet);
    if let Some(present) = present
        && (net.up || bridges(host, net.bridge.as_str())?.contains(&net.bridge))
    {
        return Ok(present);
    }
    let (bridge, fixed) = (net.bridge.clone(), net.fixed_subnet()?);
    let mut taken = occupied_subnets(host)?;
    let others = state.nets().filter(|(_, net)| net.bridge != bridge);
    taken.extend(others.filter_map(|(_, net)| Some(net.addresses.as_ref()?.subnet())));
    let collision = |subnet: Subnet| taken.iter().find(|taken| taken.overlaps(&subnet));
    match (fixed, present) {
        (Some(fixed), _) => match collision(fixed) {
            Some(taken) => {
                Err(EmbeddedError::SubnetTaken { subnet: fixed.to_string(), taken: taken.to_string() })
            }
            None => Ok(fixed),
        },
        (None, Some(present)) if collision(present).is_none() => Ok(present),
        (None, _) => Ok(choose_subnet(&taken)?),
    }
}
