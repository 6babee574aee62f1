//! `homeostat port`.

use std::io::Write as _;
use std::str::FromStr;

use clap::Args;
use homeostat_reconciler::{ContainerState, ErrorKind, PortError};
use homeostat_spec::{Protocol, PublishedPort};

use super::DONE;
use super::access::Access;
use super::errors::CliError;
use super::options::Resolved;
use crate::render::{self, Output};
use crate::service::Inspection;

#[derive(Args)]
pub(super) struct Port {
    /// APP/NAME, or APP where it has one container
    container: String,
    /// Only where this port of the container is published, as 80 or 53/udp
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: Option<ContainerPort>,
}

impl Port {
    pub(super) async fn run(self, global: &Resolved) -> Result<u8, CliError> {
        let mut access = Access::open(global).await?;
        let key = access.resolve(&self.container).await?;
        let inspection: Inspection = access.client.get(&format!("/v1/containers/{key}")).await?;
        let mut ports = published(inspection);
        if let Some(port) = &self.port {
            ports.retain(|published| port.is_that_of(published));
            if ports.is_empty() {
                let message = format!("port {port} of container {key} is not published");
                return Err(PortError::new(ErrorKind::User, message).into());
            }
        }
        if global.output == Output::Json {
            render::json(&ports)?;
            return Ok(DONE);
        }
        let mut out = anstream::stdout().lock();
        for port in &ports {
            let address = port.host_ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
            match &self.port {
                Some(_) => writeln!(out, "{address}:{}", port.host_port)?,
                None => writeln!(out, "{} -> {address}:{}", ContainerPort::of(port), port.host_port)?,
            }
        }
        Ok(DONE)
    }
}

/// The ports that are published at this moment.
fn published(inspection: Inspection) -> Vec<PublishedPort> {
    let runs = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
    let observed = inspection.observed.filter(|observed| runs(observed.state));
    observed.map(|observed| observed.ports).unwrap_or_default()
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContainerPort {
    number: u16,
    protocol: Protocol,
}

impl ContainerPort {
    fn of(port: &PublishedPort) -> Self {
        Self { number: port.container_port, protocol: port.protocol }
    }

    fn is_that_of(self, port: &PublishedPort) -> bool {
        Self::of(port) == self
    }
}

impl FromStr for ContainerPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((number, "udp")) => (number, Protocol::Udp),
            Some((_, other)) => return Err(format!("{other:?} is neither tcp nor udp")),
        };
        let number = number.parse().map_err(|_| format!("{number:?} is no port"))?;
        Ok(Self { number, protocol })
    }
}

impl std::fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one_of_tcp_unless_it_says_otherwise() {
        for (text, printed) in [("80", "80/tcp"), ("80/tcp", "80/tcp"), ("53/udp", "53/udp")] {
            assert_eq!(text.parse::<ContainerPort>().unwrap().to_string(), printed);
        }
        for text in ["", "http", "80/sctp", "99999", "/udp"] {
            assert!(text.parse::<ContainerPort>().is_err(), "{text:?}");
        }
    }
}
