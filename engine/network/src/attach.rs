//! Connecting a container's network namespace to a bridge.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use fs_err::File;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use crate::bridge::ignore_absent;
use crate::error::{Attempted, NetworkError};
use crate::link::{LOOPBACK, hardware_address, is_forwarding_port, is_operational, kind_of};
use crate::{HostSocket, InterfaceName, sysctl};

/// Links pass packets within microseconds where the kernel's worker gets to run; a host so loaded that it does not in this
/// time has other troubles than a slow first connection.
const FORWARDING_TIMEOUT: Duration = Duration::from_millis(500);

/// Pause between two looks at whether it does.
const FORWARDING_CHECK: Duration = Duration::from_micros(100);

/// How a container is connected to a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The bridge, which exists.
    pub bridge: InterfaceName,
    /// Name of the host's end of the veth pair: unique to the container.
    pub host_interface: InterfaceName,
    /// Name of the container's end: `eth0` of the first bridge, as everywhere in the field.
    #[serde(default = "first_interface")]
    pub interface: InterfaceName,
    /// Address of the container.
    pub address: Ipv4Addr,
    /// Prefix length of the bridge's subnet.
    pub prefix: u8,
    /// Address of the default route; none for a container on an internal network.
    pub gateway: Option<Ipv4Addr>,
    /// Maximum transmission unit in bytes; the kernel's 1500 when absent.
    pub mtu: Option<u32>,
}

/// What earlier versions, which knew only of one, did not write.
fn first_interface() -> InterfaceName {
    "eth0".parse().expect("it is a name")
}

/// Connects the network namespace of the calling thread to a bridge of the socket's namespace: a veth pair with
/// one end on the bridge and the other here, with address and default route. The loopback interface is
/// set up as well. Returns when packets pass.
///
/// A pair whose host end has the same name (of a run of the container that ended a moment ago, whose namespace the
/// kernel has not yet taken apart) is removed first. Nothing is left behind when the namespace ends.
///
/// # Assumptions
/// The socket was opened in the host's namespace, then the thread moved into a new one that has no interface of this name.
///
/// # Errors
/// The bridge does not exist, or the kernel refuses. What was made until then goes with the namespace.
pub fn attach(host: &HostSocket, attachment: &Attachment) -> Result<(), NetworkError> {
    let namespace = File::open("/proc/thread-self/ns/net")
        .attempted(|| "open the container's network namespace".to_owned())?;
    let container = HostSocket::open()?;
    // Before the interface exists, so that it never sends anything of IPv6.
    sysctl::set("ipv6/conf/default/disable_ipv6", "1")
        .attempted(|| "disable IPv6 in the container".to_owned())?;
    create_pair(host, attachment, namespace.file().as_fd())?;
    set_up_container(&container, attachment)
        .attempted(|| format!("set up {} with the address {}", attachment.interface, attachment.address))?;
    set_up_host(host, &container, attachment)
        .attempted(|| format!("connect {} to the bridge {}", attachment.host_interface, attachment.bridge))
}

/// Removes a container's veth pair by the name of its host end. Only needed to be quicker than the kernel, which
/// does so when the container's namespace ends. That it does not exist is no error.
///
/// # Errors
/// The kernel refuses, or the link of this name is no veth pair.
pub fn detach(host: &HostSocket, host_interface: &InterfaceName) -> Result<(), NetworkError> {
    remove_pair(host, host_interface).attempted(|| format!("remove the veth pair {host_interface}"))
}

/// Sets the loopback interface of the calling thread's network namespace up: all that a container without a network
/// has.
///
/// # Errors
/// The kernel refuses.
pub fn loopback_up() -> Result<(), NetworkError> {
    HostSocket::open()?.set_up(LOOPBACK).attempted(|| "set the loopback interface up".to_owned())
}

fn create_pair(
    host: &HostSocket,
    attachment: &Attachment,
    namespace: BorrowedFd<'_>,
) -> Result<(), NetworkError> {
    let Attachment { bridge, host_interface, .. } = attachment;
    let bridge_index = host.link_index(bridge.as_str()).attempted(|| format!("find the bridge {bridge}"))?;
    let message = pair_message(attachment, bridge_index, namespace);
    let create = || match host.create_link(message.clone()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_pair(host, host_interface)?;
            host.create_link(message)
        }
        result => result,
    };
    create().attempted(|| format!("create the veth pair {host_interface}"))
}

/// Sets the host's end up, after the container's, so that both are connected from here on; then waits until all
/// links on the way pass packets. The kernel lets them a moment later, in a worker; a first packet sent before then
/// would be lost, and be repeated only after a second.
fn set_up_host(host: &HostSocket, container: &HostSocket, attachment: &Attachment) -> io::Result<()> {
    let index = host.link_index(attachment.host_interface.as_str())?;
    host.disable_ipv6_addresses(index)?;
    host.set_port_up(index)?;
    let begin = Instant::now();
    while !packets_pass(host, container, attachment)? {
        if begin.elapsed() > FORWARDING_TIMEOUT {
            tracing::warn!(interface = %attachment.host_interface, "packets to and from the container may be lost at first");
            break;
        }
        thread::sleep(FORWARDING_CHECK);
    }
    Ok(())
}

fn packets_pass(host: &HostSocket, container: &HostSocket, attachment: &Attachment) -> io::Result<bool> {
    let port = host.link(attachment.host_interface.as_str())?;
    let bridge = host.link(attachment.bridge.as_str())?;
    let inside = container.link(attachment.interface.as_str())?;
    Ok(port.as_ref().is_some_and(|port| is_forwarding_port(port) && is_operational(port))
        && bridge.as_ref().is_some_and(is_operational)
        && inside.as_ref().is_some_and(is_operational))
}

fn pair_message(attachment: &Attachment, bridge_index: u32, namespace: BorrowedFd<'_>) -> LinkMessage {
    let mut peer = LinkMessage::default();
    peer.attributes.push(LinkAttribute::IfName(attachment.interface.to_string()));
    peer.attributes.push(LinkAttribute::Address(hardware_address(attachment.address)));
    peer.attributes.push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
    peer.attributes.extend(attachment.mtu.map(LinkAttribute::Mtu));

    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(attachment.host_interface.to_string()));
    message.attributes.push(LinkAttribute::Controller(bridge_index));
    message.attributes.extend(attachment.mtu.map(LinkAttribute::Mtu));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    message
}

fn remove_pair(host: &HostSocket, host_interface: &InterfaceName) -> io::Result<()> {
    match host.link(host_interface.as_str())? {
        None => Ok(()),
        Some(link) if kind_of(&link) == Some(&InfoKind::Veth) => {
            ignore_absent(host.delete_link(link.header.index))
        }
        Some(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a link of this name that is no veth pair",
        )),
    }
}

fn set_up_container(container: &HostSocket, attachment: &Attachment) -> io::Result<()> {
    container.set_up(LOOPBACK)?;
    let index = container.link_index(attachment.interface.as_str())?;
    container.add_address(index, attachment.address, attachment.prefix)?;
    container.set_up(index)?;
    match attachment.gateway {
        Some(gateway) => {
            container.change(RouteNetlinkMessage::NewRoute(default_route(gateway)), NLM_F_CREATE | NLM_F_EXCL)
        }
        None => Ok(()),
    }
}

fn default_route(gateway: Ipv4Addr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(IpAddr::V4(gateway))));
    message
}
