//! What the host's routes and addresses take.

use std::io;
use std::net::Ipv4Addr;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::{Attempted, NetworkError};
use crate::{HostSocket, Subnet};

/// The IPv4 subnets that routes of any table lead to and that addresses of the host are in. The default route is
/// not among them.
///
/// # Errors
/// The kernel refuses.
pub fn occupied_subnets(host: &HostSocket) -> Result<Vec<Subnet>, NetworkError> {
    let mut subnets = routed(host).attempted(|| "read the routes".to_owned())?;
    let addresses = host.addresses().attempted(|| "read the addresses".to_owned())?;
    subnets.extend(addresses.iter().filter_map(|(_, address, prefix)| Subnet::containing(*address, *prefix)));
    subnets.sort_unstable();
    subnets.dedup();
    Ok(subnets)
}

fn routed(host: &HostSocket) -> io::Result<Vec<Subnet>> {
    let mut request = RouteMessage::default();
    request.header.address_family = AddressFamily::Inet;
    let answers = host.dump(&RouteNetlinkMessage::GetRoute(request))?;
    Ok(answers
        .iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => {
                Subnet::containing(destination(route)?, route.header.destination_prefix_length)
            }
            _ => None,
        })
        .filter(|subnet| subnet.prefix() > 0)
        .collect())
}

fn destination(route: &RouteMessage) -> Option<Ipv4Addr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })
}
