//! `[IP:]HOST:CONTAINER[/PROTOCOL]`, as in Compose.

use std::net::Ipv4Addr;

use super::Scalar;
use super::endpoint::parse_port;
use crate::problem::Problem;
use crate::{Protocol, PublishedPort};

impl Scalar for PublishedPort {
    const FORMAT: &'static str = "port";
    const EXAMPLES: &'static [&'static str] = &["8080:80", "127.0.0.1:9000:9000/udp"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let (addresses, protocol) = split_protocol(text)?;
        if addresses.contains('[') || addresses.matches(':').count() > 2 {
            return Err(
                Problem::new(format!("{text:?} has no IPv4 address")).hint("ports are published on IPv4")
            );
        }
        let mut parts = addresses.rsplit(':');
        let container = parts.next().unwrap_or_default();
        let Some(host) = parts.next() else {
            return Err(Problem::new(format!("{text:?} does not say which port of the host"))
                .hint(format!("write `HOST:CONTAINER`, as `{container}:{container}`")));
        };
        if host.contains('-') || container.contains('-') {
            return Err(
                Problem::new(format!("{text:?} is a range of ports")).hint("write one entry for each port")
            );
        }
        let host_ip = parts.next().map(parse_ip).transpose()?.flatten();
        Ok(Self { host_ip, host_port: parse_port(host)?, container_port: parse_port(container)?, protocol })
    }
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
