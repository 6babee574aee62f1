//! What containers are told of name servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use homeostat_dns::{HostResolver, ZONE};
use homeostat_monitor::{Dns, Network};
use homeostat_network::{Attachment, Subnet};
use homeostat_spec::{ExtraHost, Names};

/// What `/etc/resolv.conf` of a container says: on a bridge its gateway's address, where names of containers and all that the
/// host can resolve are answered, else what the host's own says.
///
/// What the container asks for itself takes the place of what the host says. Name servers of its own are asked by whoever
/// answers names on the bridge.
pub(crate) fn dns(network: &Network, asked: &Names) -> Dns {
    let host = HostResolver::read();
    let mut search = if asked.search.is_empty() { host.search } else { asked.search.clone() };
    search.retain(|domain| domain != ".");
    let options = if asked.options.is_empty() { host.options } else { asked.options.clone() };
    let servers = match network {
        // Those in the container itself nobody else can ask.
        _ if asked.servers.iter().any(IpAddr::is_loopback) => asked.servers.clone(),
        Network::Bridges(attachments) => {
            // Before the others: what a name means here is told without asking elsewhere.
            search.insert(0, ZONE.to_owned());
            gateway(attachments).into_iter().collect()
        }
        Network::Host | Network::None if asked.servers.is_empty() => {
            host.servers.iter().map(SocketAddr::ip).collect()
        }
        Network::Host | Network::None => asked.servers.clone(),
    };
    Dns { servers, search, options, hosts: hosts(network, asked) }
}

fn hosts(network: &Network, asked: &Names) -> Vec<(IpAddr, String)> {
    let host = match network {
        Network::Bridges(attachments) => gateway(attachments),
        Network::Host => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Network::None => None,
    };
    let line = |extra: &ExtraHost| Some((extra.address.or(host)?, extra.name.clone()));
    asked.extra_hosts.iter().filter_map(line).collect()
}

/// The first bridge's address: also an internal network, from which no route leads on, has it.
fn gateway(attachments: &[Attachment]) -> Option<IpAddr> {
    let attachment = attachments.first()?;
    Some(Subnet::containing(attachment.address, attachment.prefix)?.gateway().into())
}
