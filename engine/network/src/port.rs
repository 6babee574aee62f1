//! Ports of the host.

use std::fmt;
use std::net::Ipv4Addr;

use homeostat_spec::{Protocol, PublishedPort};
use serde::{Deserialize, Serialize};

/// Where on the host a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// The one address of the host it is published on; every one when absent.
    pub address: Option<Ipv4Addr>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port's number.
    pub port: u16,
}

impl HostPort {
    /// The address to bind: `0.0.0.0` for every one.
    pub fn bind_address(&self) -> Ipv4Addr {
        self.address.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }
}

impl From<&PublishedPort> for HostPort {
    fn from(published: &PublishedPort) -> Self {
        Self {
            address: published.host_ip.filter(|address| !address.is_unspecified()),
            protocol: published.protocol,
            port: published.host_port,
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}:{}/{protocol}", self.bind_address(), self.port)
    }
}
