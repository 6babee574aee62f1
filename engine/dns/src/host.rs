//! The host's own name servers.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt as _;

use fs_err as fs;

/// Where the host says which name servers it asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Servers that are asked, as in `resolv.conf(5)`.
const MOST_SERVERS: usize = 3;

const PORT: u16 = 53;

/// What a `resolv.conf(5)` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostResolver {
    /// Name servers, the first to be asked first.
    pub servers: Vec<SocketAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Options, as `ndots:2`.
    pub options: Vec<String>,
}

impl HostResolver {
    /// Reads the host's `/etc/resolv.conf`; nothing when there is none.
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string(RESOLV_CONF).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => resolver.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        resolver.servers.truncate(MOST_SERVERS);
        resolver
    }
}

/// An address, perhaps with the link that it is on: `fe80::1%eth0`.
fn server(word: &str) -> Option<SocketAddr> {
    let Some((address, link)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse().ok()?, PORT));
    };
    let index = link.parse().ok().or_else(|| nix::net::if_::if_nametoindex(link).ok())?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, index).into())
}

/// The host's name servers as they are at the moment: the file is read again when it is another one.
#[derive(Debug, Default)]
pub(crate) struct Current {
    seen: Option<Stamp>,
    servers: Vec<SocketAddr>,
}

/// What differs when a file has been written or replaced: device, inode, size, and the time in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Current {
    pub(crate) fn servers(&mut self) -> &[SocketAddr] {
        let stamp = fs::metadata(RESOLV_CONF)
            .ok()
            .map(|file| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()));
        if stamp.is_none() || stamp != self.seen {
            self.servers = HostResolver::read().servers;
            if self.servers.is_empty() {
                // As `resolv.conf(5)` says.
                self.servers.push(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), PORT));
            }
            self.seen = stamp;
        }
        &self.servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_configuration_is_read_with_comments_options_and_links() {
        let host = HostResolver::parse(
            "# made by hand\nnameserver 10.0.0.53\nnameserver fe80::1%1\nnameserver nonsense\nsearch a.example b.example\noptions ndots:2 edns0\n",
        );
        assert_eq!(host.servers, ["10.0.0.53:53".parse().unwrap(), "[fe80::1%1]:53".parse().unwrap()]);
        assert_eq!(host.search, ["a.example", "b.example"]);
        assert_eq!(host.options, ["ndots:2", "edns0"]);
    }
}
