//! Flows that the kernel tracks (`linux/netfilter/nfnetlink_conntrack.h`).
//!
//! Rules only see the first packet of a flow; to the others the kernel does as it did to the first. A TCP connection ends, but
//! a UDP sender that goes on from the same port keeps its flow alive for good: one that began before its destination
//! was published is never translated, and one to a container that is gone goes nowhere.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use nix::libc::{ENOENT, IPPROTO_UDP};

use super::netfilter::{Netfilter, attribute, nested};
use crate::HostSocket;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 1 << 8 | 1;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 1 << 8 | 2;
/// `CTA_TUPLE_ORIG`: addresses and ports as the sender wrote them.
const ORIGINAL: u16 = 1;
/// `CTA_TUPLE_IP` and in it `CTA_IP_V4_DST`.
const ADDRESSES: u16 = 1;
const DESTINATION: u16 = 2;
/// `CTA_TUPLE_PROTO` and in it `CTA_PROTO_NUM` and `CTA_PROTO_DST_PORT`.
const TRANSPORT: u16 = 2;
const PROTOCOL: u16 = 1;
const DESTINATION_PORT: u16 = 3;

/// Forgets the UDP flows to these ports of the host, so that their next packet is looked at anew.
pub(super) fn forget_udp(ports: &BTreeSet<u16>) -> io::Result<()> {
    let host: Vec<Ipv4Addr> = own_addresses()?;
    let concerned = |tuple: &[u8]| {
        destination(tuple).is_some_and(|(address, port)| {
            ports.contains(&port) && (address.is_loopback() || host.contains(&address))
        })
    };
    let kernel = Netfilter::open()?;
    let mut flows = Vec::new();
    kernel.request(GET, NLM_F_DUMP, &[], |flow| {
        flows.extend(attribute(flow, ORIGINAL).filter(|tuple| concerned(tuple)).map(<[u8]>::to_vec));
    })?;
    for tuple in flows {
        match kernel.request(DELETE, NLM_F_ACK, &nested(ORIGINAL, &tuple), |_| {}) {
            Err(error) if error.raw_os_error() != Some(ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn own_addresses() -> io::Result<Vec<Ipv4Addr>> {
    let socket = HostSocket::open().map_err(|error| error.source)?;
    Ok(socket.addresses()?.into_iter().map(|(_, address, _)| address).collect())
}

/// Where a UDP flow goes; `None` for other protocols.
fn destination(tuple: &[u8]) -> Option<(Ipv4Addr, u16)> {
    let transport = attribute(tuple, TRANSPORT)?;
    if i32::from(*attribute(transport, PROTOCOL)?.first()?) != IPPROTO_UDP {
        return None;
    }
    let address: [u8; 4] = attribute(attribute(tuple, ADDRESSES)?, DESTINATION)?.try_into().ok()?;
    let port: [u8; 2] = attribute(transport, DESTINATION_PORT)?.try_into().ok()?;
    Some((Ipv4Addr::from(address), u16::from_be_bytes(port)))
}
