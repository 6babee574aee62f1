//! What containers are told of name servers.

use std::net::{IpAddr, SocketAddr};

use homeostat_dns::{HostResolver, ZONE};
use homeostat_monitor::{Dns, Network};
use homeostat_network::{Attachment, Subnet};

/// What `/etc/resolv.conf` of a container says: on a bridge its gateway's address, where names of containers and all that the
/// host can resolve are answered, else what the host's own says.
pub(crate) fn dns(network: &Network) -> Dns {
    let HostResolver { servers, mut search, options } = HostResolver::read();
    let servers = match network {
        Network::Bridge(attachment) => {
            // Before the host's: what a name means here is told without asking elsewhere.
            search.insert(0, ZONE.to_owned());
            gateway(attachment).into_iter().collect()
        }
        Network::Host | Network::None => servers.iter().map(SocketAddr::ip).collect(),
    };
    Dns { servers, search, options, hosts: Vec::new() }
}

/// The bridge's address: also an internal network, from which no route leads on, has it.
fn gateway(attachment: &Attachment) -> Option<IpAddr> {
    Some(Subnet::containing(attachment.address, attachment.prefix)?.gateway().into())
}
