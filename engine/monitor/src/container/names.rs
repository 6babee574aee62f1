//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container.

use std::fmt::Write as _;
use std::net::IpAddr;

use fs_err as fs;

use crate::Dns;

/// Host name of a step of a build: the same everywhere, so that it does not end up in an image as a difference.
pub(crate) const BUILD_HOST: &str = "build";

/// The files' content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) hosts: String,
    pub(crate) hostname: String,
    pub(crate) resolv_conf: String,
}

/// For a container that has its own address, if any, and host name.
pub(crate) fn for_container(hostname: &str, address: Option<IpAddr>, dns: &Dns) -> Names {
    let mut hosts = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    add_host(&mut hosts, address.unwrap_or(IpAddr::from([127, 0, 1, 1])), hostname);
    finish(hosts, hostname, dns)
}

/// For a container on the host's network, where the host's own names hold too.
pub(crate) fn for_host_network(hostname: &str, dns: &Dns) -> Names {
    let mut hosts = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| "127.0.0.1\tlocalhost\n".to_owned());
    if !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    add_host(&mut hosts, IpAddr::from([127, 0, 1, 1]), hostname);
    finish(hosts, hostname, dns)
}

fn finish(mut hosts: String, hostname: &str, dns: &Dns) -> Names {
    for (address, name) in &dns.hosts {
        add_host(&mut hosts, *address, name);
    }
    Names { hosts, hostname: format!("{hostname}\n"), resolv_conf: resolv_conf(dns) }
}

fn add_host(hosts: &mut String, address: IpAddr, name: &str) {
    let _ = writeln!(hosts, "{address}\t{name}");
}

/// Without servers, what the host itself uses.
pub(crate) fn resolv_conf(dns: &Dns) -> String {
    if dns.servers.is_empty() {
        return fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    }
    let mut text = String::new();
    for server in &dns.servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !dns.search.is_empty() {
        let _ = writeln!(text, "search {}", dns.search.join(" "));
    }
    if !dns.options.is_empty() {
        let _ = writeln!(text, "options {}", dns.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_finds_itself_and_what_it_is_told() {
        let dns = Dns {
            servers: vec![[10, 0, 0, 1].into()],
            search: vec!["lan".into()],
            options: vec!["ndots:0".into()],
            hosts: vec![([10, 0, 0, 9].into(), "db".into())],
        };
        let names = for_container("web", Some([10, 0, 0, 2].into()), &dns);
        assert!(names.hosts.ends_with("10.0.0.2\tweb\n10.0.0.9\tdb\n"), "{}", names.hosts);
        assert_eq!(names.hostname, "web\n");
        assert_eq!(names.resolv_conf, "nameserver 10.0.0.1\nsearch lan\noptions ndots:0\n");
    }
}
