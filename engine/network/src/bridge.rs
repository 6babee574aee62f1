//! Bridges of the host.

use std::io;
use std::net::Ipv4Addr;

use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage,
};

use crate::error::{Attempted, NetworkError};
use crate::link::{hardware_address, kind_of, name_of};
use crate::{HostSocket, InterfaceName, Subnet, sysctl};

/// A bridge as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Its name.
    pub name: InterfaceName,
    /// The subnet of the containers on it. The bridge gets the subnet's [`gateway`](Subnet::gateway) address.
    pub subnet: Subnet,
    /// Maximum transmission unit in bytes; the kernel's 1500 when absent.
    pub mtu: Option<u32>,
}

/// Makes the bridge as the configuration says, whether it exists already or not, and lets the host forward
/// packets (`net.ipv4.ip_forward`) and reach containers from 127.0.0.1 through it (`route_localnet`; the
/// [`Table`](crate::Table) keeps containers from using that in the other direction).
///
/// Idempotent; after a kill in the middle a second call completes it. Links that are on the bridge stay on it.
///
/// # Assumptions
/// The calling thread is in the network namespace of the socket.
///
/// # Errors
/// The kernel refuses, or a link of this name exists that is no bridge.
pub fn ensure_bridge(host: &HostSocket, bridge: &BridgeConfig) -> Result<(), NetworkError> {
    let name = &bridge.name;
    let index = ensure_link(host, bridge).attempted(|| format!("create the bridge {name}"))?;
    ensure_address(host, index, bridge).attempted(|| format!("give the bridge {name} its address"))?;
    host.set_up(index).attempted(|| format!("set the bridge {name} up"))?;
    for (parameter, value) in
        [("ipv4/ip_forward".to_owned(), "1"), (format!("ipv4/conf/{name}/route_localnet"), "1")]
    {
        sysctl::set(&parameter, value).attempted(|| format!("set net/{parameter} to {value}"))?;
    }
    Ok(())
}

/// Removes the bridge; links that are on it lose it. That it does not exist is no error.
///
/// # Errors
/// The kernel refuses, or the link of this name is no bridge.
pub fn remove_bridge(host: &HostSocket, name: &InterfaceName) -> Result<(), NetworkError> {
    let remove = || match host.link(name.as_str())? {
        Some(link) => {
            require_bridge(&link)?;
            ignore_absent(host.delete_link(link.header.index))
        }
        None => Ok(()),
    };
    remove().attempted(|| format!("remove the bridge {name}"))
}

/// The bridges whose name begins with this prefix.
///
/// # Errors
/// The kernel refuses.
pub fn bridges(host: &HostSocket, prefix: &str) -> Result<Vec<InterfaceName>, NetworkError> {
    let links = host.links().attempted(|| "list the links".to_owned())?;
    Ok(links
        .iter()
        .filter(|link| kind_of(link) == Some(&InfoKind::Bridge))
        .filter_map(name_of)
        .filter(|name| name.starts_with(prefix))
        .filter_map(|name| name.parse().ok())
        .collect())
}

fn ensure_link(host: &HostSocket, bridge: &BridgeConfig) -> io::Result<u32> {
    let name = bridge.name.as_str();
    if let Some(link) = host.link(name)? {
        require_bridge(&link)?;
        return Ok(link.header.index);
    }
    match host.create_link(bridge_message(bridge)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let index = host.link_index(name)?;
    host.disable_ipv6_addresses(index)?;
    Ok(index)
}

fn bridge_message(bridge: &BridgeConfig) -> LinkMessage {
    let mut message = LinkMessage::default();
    // A bridge without an address of its own takes the lowest of its links', which changes as containers come and go.
    let hardware = hardware_address(bridge.subnet.gateway());
    message.attributes.push(LinkAttribute::IfName(bridge.name.to_string()));
    message.attributes.push(LinkAttribute::Address(hardware));
    message.attributes.extend(bridge.mtu.map(LinkAttribute::Mtu));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Bridge),
        LinkInfo::Data(InfoData::Bridge(vec![
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::ForwardDelay(0),
            InfoBridge::MulticastSnooping(false),
        ])),
    ]));
    message
}

/// Gives the bridge its address and takes away those of a subnet that it had before.
fn ensure_address(host: &HostSocket, index: u32, bridge: &BridgeConfig) -> io::Result<()> {
    let wanted: (Ipv4Addr, u8) = (bridge.subnet.gateway(), bridge.subnet.prefix());
    for (on, address, prefix) in host.addresses()? {
        if on == index && (address, prefix) != wanted {
            host.delete_address(index, address, prefix)?;
        }
    }
    host.add_address(index, wanted.0, wanted.1)
}

fn require_bridge(link: &LinkMessage) -> io::Result<()> {
    if kind_of(link) == Some(&InfoKind::Bridge) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a link of this name that is no bridge"))
}

/// Somebody else having removed a link already is what was wanted.
pub(crate) fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(()),
        result => result,
    }
}
