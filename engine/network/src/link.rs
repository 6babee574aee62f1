//! Reading and changing single links and addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgePortState, In6AddrGenMode, InfoBridgePort, InfoKind, InfoPortData,
    InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::{HostSocket, Subnet};

/// Index of the loopback interface in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

impl HostSocket {
    /// The link of this name, if there is one.
    pub(crate) fn link(&self, name: &str) -> io::Result<Option<LinkMessage>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        Ok(match self.get(RouteNetlinkMessage::GetLink(message))? {
            Some(RouteNetlinkMessage::NewLink(link)) => Some(link),
            _ => None,
        })
    }

    /// The index of the link of this name.
    pub(crate) fn link_index(&self, name: &str) -> io::Result<u32> {
        let link = self.link(name)?.ok_or(nix::errno::Errno::ENODEV)?;
        Ok(link.header.index)
    }

    /// Every link.
    pub(crate) fn links(&self) -> io::Result<Vec<LinkMessage>> {
        let answers = self.dump(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })
            .collect())
    }

    pub(crate) fn create_link(&self, message: LinkMessage) -> io::Result<()> {
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    pub(crate) fn delete_link(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.change(RouteNetlinkMessage::DelLink(message), 0)
    }

    pub(crate) fn set_up(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Lets the bridge send packets out of the port that they came in by, and sets the port up. Where netfilter sees
    /// bridged packets (`net.bridge.bridge-nf-call-iptables`, as Docker sets it), a container needs that to reach
    /// a port that it publishes itself.
    pub(crate) fn set_port_up(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
        ]));
        self.change(RouteNetlinkMessage::NewLink(message), 0)
    }

    /// Lets the link have no IPv6 address of its own accord. Done before it is set up, this spares the host
    /// duplicate address detection and multicast reports. A kernel without IPv6 has nothing to be told.
    pub(crate) fn disable_ipv6_addresses(&self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
        match self.change(RouteNetlinkMessage::SetLink(message), 0) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => Ok(()),
            result => result,
        }
    }

    /// Gives the link an IPv4 address; that it has it already is no error.
    pub(crate) fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let message = address_message(index, address, prefix);
        match self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    pub(crate) fn delete_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        self.change(RouteNetlinkMessage::DelAddress(address_message(index, address, prefix)), 0)
    }

    /// Every IPv4 address, as index of the link, address and prefix length.
    pub(crate) fn addresses(&self) -> io::Result<Vec<(u32, Ipv4Addr, u8)>> {
        let mut request = AddressMessage::default();
        request.header.family = AddressFamily::Inet;
        let answers = self.dump(&RouteNetlinkMessage::GetAddress(request))?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewAddress(message) => {
                    Some((message.header.index, local_address(message)?, message.header.prefix_len))
                }
                _ => None,
            })
            .collect())
    }
}

/// The name of a link.
pub(crate) fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The kind of a link, as bridge or veth.
pub(crate) fn kind_of(link: &LinkMessage) -> Option<&InfoKind> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind),
            _ => None,
        }),
        _ => None,
    })
}

/// Whether the kernel has found that packets can pass (RFC 2863, `ifOperStatus`).
pub(crate) fn is_operational(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::OperState(State::Up)))
}

/// Whether the link is the port of a bridge that forwards packets of it.
pub(crate) fn is_forwarding_port(link: &LinkMessage) -> bool {
    let forwards = |port: &InfoBridgePort| matches!(port, InfoBridgePort::State(BridgePortState::Forwarding));
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(|info| match info {
            LinkInfo::PortData(InfoPortData::BridgePort(port)) => port.iter().any(forwards),
            _ => false,
        }),
        _ => false,
    })
}

/// A hardware address of the locally administered range that is always the same for the same IPv4 address, so
/// that what peers remember stays true when a container is replaced.
pub(crate) fn hardware_address(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    vec![0x02, 0x48, a, b, c, d]
}

fn address_message(index: u32, address: Ipv4Addr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.scope = AddressScope::Universe;
    message.attributes.push(AddressAttribute::Local(IpAddr::V4(address)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V4(address)));
    if let Some(subnet) = Subnet::containing(address, prefix).filter(Subnet::has_room) {
        message.attributes.push(AddressAttribute::Broadcast(subnet.broadcast()));
    }
    message
}

fn local_address(message: &AddressMessage) -> Option<Ipv4Addr> {
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) if local => Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) if !local => Some(*address),
            _ => None,
        })
    };
    find(true).or_else(|| find(false))
}
