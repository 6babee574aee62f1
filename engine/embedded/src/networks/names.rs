//! Names that containers can resolve.

use std::net::{IpAddr, Ipv4Addr};

use fs_err as fs;
use homeostat_monitor::{Dns, Network};

use crate::container::Container;
use crate::engine::Inner;

impl Inner {
    /// Names of the other containers of the app on the same network, for `/etc/hosts`.
    pub(crate) fn neighbours(&self, container: &Container) -> Vec<(Ipv4Addr, String)> {
        let Some(network) = container.network() else { return Vec::new() };
        let mut state = self.networks.lock();
        let Ok(net) = state.net(&network) else { return Vec::new() };
        let containers = self.containers();
        let neighbours = containers.iter().filter(|other| {
            other.key.app == container.key.app
                && other.key != container.key
                && other.network().as_ref() == Some(&network)
        });
        neighbours.filter_map(|other| Some((net.address(&other.key)?, other.key.name.to_string()))).collect()
    }
}

/// Name servers of the host that a container can reach.
pub(crate) fn name_servers(network: &Network) -> Dns {
    let mut dns = read("/etc/resolv.conf");
    if matches!(network, Network::Host) {
        return dns;
    }
    let reachable = |address: &IpAddr| address.is_ipv4() && !address.is_loopback();
    dns.servers.retain(reachable);
    if dns.servers.is_empty() {
        // systemd-resolved listens on loopback, and keeps the servers that it asks itself here.
        dns = read("/run/systemd/resolve/resolv.conf");
        dns.servers.retain(reachable);
    }
    dns
}

fn read(path: &str) -> Dns {
    parse(&fs::read_to_string(path).unwrap_or_default())
}

/// See `resolv.conf(5)`.
fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                dns.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
            }
            Some("search" | "domain") => dns.search = words.map(str::to_owned).collect(),
            Some("options") => dns.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_configuration_is_read_with_comments_and_options() {
        let dns = parse(
            "# made by hand\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2 edns0\n",
        );
        assert_eq!(dns.servers, ["10.0.0.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(dns.search, ["a.example", "b.example"]);
        assert_eq!(dns.options, ["ndots:2", "edns0"]);
    }
}
