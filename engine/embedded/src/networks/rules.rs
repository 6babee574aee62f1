//! The firewall's rules that the running containers need.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use homeostat_network::{BridgeRules, DesiredRules, HostPort};
use homeostat_reconciler::chain;
use homeostat_spec::Protocol;

use super::State;
use crate::EmbeddedError;
use crate::container::Container;
use crate::engine::Inner;

impl Inner {
    /// Makes the firewall's rules what the running containers need.
    pub(crate) fn sync_rules(&self) -> Result<(), EmbeddedError> {
        let containers = self.containers();
        apply(&mut self.networks.lock(), &containers)
    }

    /// Brings rules back that somebody else has changed or removed, as every restart of the host's firewall does.
    /// Costs one message to the kernel when nobody has.
    pub(crate) fn heal_rules(&self) {
        let containers = self.containers();
        let mut state = self.networks.lock();
        if !state.has_table {
            return;
        }
        let kept = apply(&mut state, &containers);
        // Told once, not with every observation.
        if let Err(error) = &kept
            && !state.in_trouble
        {
            tracing::warn!(error = chain(error), "the rules of published ports cannot be kept");
        }
        state.in_trouble = kept.is_err();
    }
}

/// Makes the rules what these containers need, as far as they run. Without a bridge there are none.
pub(super) fn apply(state: &mut State, containers: &[Arc<Container>]) -> Result<(), EmbeddedError> {
    let desired = desired(state, containers)?;
    if !desired.bridges.is_empty() {
        state.has_table = true;
        state.table.apply(&desired)?;
    } else if state.has_table {
        state.table.remove()?;
        state.has_table = false;
    }
    Ok(())
}

/// [`apply`] after an earlier process of the engine may have left rules.
pub(super) fn resume(state: &mut State, containers: &[Arc<Container>]) -> Result<(), EmbeddedError> {
    if state.nets().any(|(_, net)| net.up) {
        return apply(state, containers);
    }
    // Nothing needs rules: that none can be removed, as on a host without nftables, keeps nobody from working.
    if let Err(error) = state.table.remove() {
        tracing::debug!(%error, "rules that may be left cannot be removed");
    }
    Ok(())
}

fn desired(state: &mut State, containers: &[Arc<Container>]) -> Result<DesiredRules, EmbeddedError> {
    let mut desired = DesiredRules::default();
    for (_, net) in state.nets().filter(|(_, net)| net.up) {
        if let Some(addresses) = &net.addresses {
            let rules = BridgeRules { subnet: addresses.subnet(), internal: net.is_internal() };
            desired.bridges.insert(net.bridge.clone(), rules);
            if let Some(port) = state.answering.ports.get(&net.bridge) {
                desired.published.extend(names_at(addresses.gateway(), *port));
            }
        }
    }
    for container in containers {
        publish(state, container, &mut desired)?;
    }
    Ok(desired)
}

/// Leads port 53 of a bridge's own address to where names are answered: before a port 53 that is published on every
/// address.
fn names_at(gateway: Ipv4Addr, port: u16) -> [(HostPort, SocketAddrV4); 2] {
    [Protocol::Udp, Protocol::Tcp].map(|protocol| {
        (HostPort { address: Some(gateway), protocol, port: 53 }, SocketAddrV4::new(gateway, port))
    })
}

/// Adds the published ports of a container that runs.
fn publish(
    state: &mut State,
    container: &Container,
    desired: &mut DesiredRules,
) -> Result<(), EmbeddedError> {
    let ports = container.published();
    if ports.is_empty() || !container.runs_now() {
        return Ok(());
    }
    // Answers go the way that leads out.
    let networks = container.networks();
    let Some(network) = state.way_out(&networks) else { return Ok(()) };
    if let Some(address) = state.net(network)?.address(&container.key) {
        for port in &ports {
            desired.published.insert(HostPort::from(port), SocketAddrV4::new(address, port.container_port));
        }
    }
    Ok(())
}
