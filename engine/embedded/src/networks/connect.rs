//! Connecting containers to bridges: subnets, addresses, and bridges that come and go with them.

use std::collections::BTreeSet;

use homeostat_monitor::Network as MonitorNetwork;
use homeostat_network::{
    Allocator, Attachment, BridgeConfig, HostSocket, Subnet, bridges, choose_subnet, ensure_bridge,
    occupied_subnets, remove_bridge,
};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::NetworkMode;

use super::{NetworkId, State, responder, rules, user_of};
use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;
use crate::instance::Instance;

impl Inner {
    /// Connects a container that is about to start: its bridge is there after this, and its address its own.
    pub(crate) fn connect(&self, container: &Container) -> Result<MonitorNetwork, EmbeddedError> {
        let Some(network) = container.network() else {
            let host = container.lock().record.config.network == NetworkMode::Host;
            return Ok(if host { MonitorNetwork::Host } else { MonitorNetwork::None });
        };
        let containers = self.containers();
        let mut state = self.networks.lock();
        let host = HostSocket::open()?;
        let subnet = subnet(&mut state, &host, &network)?;
        let net = state.net(&network)?;
        let mut addresses = match net.addresses.take() {
            Some(addresses) if addresses.subnet() == subnet => addresses,
            _ => Allocator::new(subnet),
        };
        let known = addresses.get(&container.key.to_string()).is_some();
        let address = addresses.allocate(&container.key.to_string());
        let gateway = addresses.gateway();
        net.addresses = Some(addresses);
        let address = address?;
        if !known {
            net.save()?;
        }
        ensure_bridge(&host, &BridgeConfig { name: net.bridge.clone(), subnet, mtu: None })?;
        net.up = true;
        let attachment = Attachment {
            bridge: net.bridge.clone(),
            host_interface: Instance::host_interface(&container.id),
            address,
            prefix: subnet.prefix(),
            gateway: (!net.is_internal()).then_some(gateway),
            mtu: None,
        };
        // The first thing that a program does may be to look up a name.
        responder::tell(self, &mut state)?;
        rules::apply(&mut state, &containers)?;
        Ok(MonitorNetwork::Bridge(attachment))
    }

    /// Gives back what a removed container had of its network; a bridge that no container needs goes too.
    pub(crate) fn disconnect(
        &self,
        container: &ResourceKey,
        network: Option<&NetworkId>,
    ) -> Result<(), EmbeddedError> {
        let Some(network) = network else { return Ok(()) };
        let containers = self.containers();
        let mut state = self.networks.lock();
        // A network is not removed before its containers.
        let Ok(net) = state.net(network) else { return Ok(()) };
        let released = net.addresses.as_mut().and_then(|addresses| addresses.release(&container.to_string()));
        if released.is_some() {
            net.save()?;
        }
        if !net.up {
            return Ok(());
        }
        if user_of(&containers, network).is_some() {
            return responder::tell(self, &mut state);
        }
        remove_bridge(&HostSocket::open()?, &net.bridge)?;
        net.up = false;
        responder::tell(self, &mut state)?;
        rules::apply(&mut state, &containers)
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
                .filter(|container| container.network().as_ref() == Some(&network))
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
    let others = state.nets().filter(|net| net.bridge != bridge);
    taken.extend(others.filter_map(|net| Some(net.addresses.as_ref()?.subnet())));
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
