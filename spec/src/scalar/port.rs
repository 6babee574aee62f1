//! `[IP:][HOST:]CONTAINER[/PROTOCOL]`, each a port or a range, as in Compose.

use std::net::Ipv4Addr;

use super::Scalar;
use super::endpoint::parse_port;
use crate::problem::Problem;
use crate::{Protocol, PublishedPort};

/// The most ports of one range: each takes a socket of the host.
const MOST: u16 = 1000;

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortRange {
    /// The first one. Those that follow have the numbers that follow.
    first: PublishedPort,
    /// How many there are; 1 to [`MOST`].
    pub(crate) count: u16,
}

impl PortRange {
    pub(crate) fn ports(&self) -> impl Iterator<Item = PublishedPort> {
        (0..self.count).map(|offset| {
            let mut port = self.first.clone();
            port.container_port += offset;
            if !port.is_chosen() {
                port.host_port += offset;
            }
            port
        })
    }
}

impl Scalar for PortRange {
    const FORMAT: &'static str = "port";
    const EXAMPLES: &'static [&'static str] =
        &["8080:80", "127.0.0.1:9000:9000/udp", "80", "8000-8010:80-90"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (addresses, protocol) = split_protocol(text)?;
        if addresses.contains('[') || addresses.matches(':').count() > 2 {
            return Err(
                Problem::new(format!("{text:?} has no IPv4 address")).hint("ports are published on IPv4")
            );
        }
        let mut parts = addresses.rsplit(':');
        let container = parse_range(parts.next().unwrap_or_default())?;
        let host = parts.next().filter(|host| !matches!(*host, "" | "0")).map(parse_range).transpose()?;
        let host_ip = parts.next().map(parse_ip).transpose()?.flatten();
        let count = container.count();
        let (host_port, host_port_last) = match host {
            None => (0, None),
            Some(host) if host.count() == count => (host.first, None),
            Some(host) if count == 1 => (host.first, Some(host.last)),
            Some(host) => {
                let message =
                    format!("{text:?} leads {} ports of the host to {count} of the container", host.count());
                return Err(Problem::new(message)
                    .hint("write two ranges of one length, or one port of the container"));
            }
        };
        let first =
            PublishedPort { host_ip, host_port, host_port_last, container_port: container.first, protocol };
        Ok(Self { first, count })
    }
}

/// `PORT` or `FIRST-LAST`.
struct Range {
    first: u16,
    last: u16,
}

impl Range {
    fn count(&self) -> u16 {
        self.last - self.first + 1
    }
}

fn parse_range(text: &str) -> Result<Range, Problem> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    if last < first {
        return Err(Problem::new(format!("{text:?} ends before it begins"))
            .hint(format!("write the lower port first, as `{last}-{first}`")));
    }
    if last - first >= MOST {
        return Err(Problem::new(format!("{text:?} has more than {MOST} ports"))
            .hint("a container with `network = \"host\"` has all ports of the host"));
    }
    Ok(Range { first, last })
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), Problem> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((addresses, "tcp")) => Ok((addresses, Protocol::Tcp)),
        Some((addresses, "udp")) => Ok((addresses, Protocol::Udp)),
        Some((_, other)) => {
            Err(Problem::new(format!("{other:?} is no protocol of a port")).hint("write `/tcp` or `/udp`"))
        }
    }
}

/// An address of the host; `0.0.0.0` is every address.
fn parse_ip(text: &str) -> Result<Option<Ipv4Addr>, Problem> {
    let ip: Ipv4Addr = text.parse().map_err(|_| {
        Problem::new(format!("{text:?} is no IPv4 address"))
            .hint("write an address of the host, as `127.0.0.1`")
    })?;
    Ok(Some(ip).filter(|ip| !ip.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        PortRange::parse(text).unwrap().ports().map(|port| port.to_string()).collect()
    }

    #[test]
    fn ranges_of_one_length_lead_one_to_one() {
        assert_eq!(shown("8000-8002:80-82/udp"), ["8000:80/udp", "8001:81/udp", "8002:82/udp"]);
        assert_eq!(shown("127.0.0.1:65535:1"), ["127.0.0.1:65535:1"]);
        assert_eq!(shown("64536-65535:64536-65535").len(), 1000);
    }

    #[test]
    fn what_names_no_port_of_the_host_leaves_it_to_the_engine() {
        assert_eq!(shown("80"), ["80"]);
        assert_eq!(shown("0:80"), ["80"]);
        assert_eq!(shown("127.0.0.1::80/udp"), ["127.0.0.1::80/udp"]);
        assert_eq!(shown("0.0.0.0::80-81"), ["80", "81"]);
        assert_eq!(shown("8000-8010:80"), ["8000-8010:80"]);
    }
}
