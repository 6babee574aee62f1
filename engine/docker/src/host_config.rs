//! Parts of what the engine tells of a container's host configuration, as a spec writes them.

use std::net::Ipv4Addr;

use bollard::models::HostConfig;
use homeostat_spec::{LogRotation, Protocol, PublishedPort};

pub(crate) fn ports(host: &HostConfig) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let Ok(container_port) = number.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bindings.iter().flatten() {
            let host_ip = binding.host_ip.as_deref().and_then(|ip| ip.parse::<Ipv4Addr>().ok());
            let host_port =
                binding.host_port.as_deref().and_then(|port| port.parse().ok()).unwrap_or_default();
            let host_ip = host_ip.filter(|ip| !ip.is_unspecified());
            ports.push(PublishedPort { host_ip, host_port, container_port, protocol });
        }
    }
    ports.sort();
    ports
}

pub(crate) fn capabilities(told: Option<&[String]>) -> Vec<String> {
    let with_prefix = |name: &String| match name.as_str() {
        "ALL" => "ALL".to_owned(),
        name if name.starts_with("CAP_") => name.to_owned(),
        name => format!("CAP_{name}"),
    };
    let mut names: Vec<String> = told.unwrap_or_default().iter().map(with_prefix).collect();
    names.sort();
    names
}

pub(crate) fn rotation(host: &HostConfig) -> LogRotation {
    let options = host.log_config.as_ref().and_then(|log| log.config.as_ref());
    let option = |name: &str| options.and_then(|options| options.get(name));
    let default = LogRotation::default();
    LogRotation {
        max_size: option("max-size").and_then(|size| log_size(size)).unwrap_or(default.max_size),
        max_files: option("max-file").and_then(|files| files.parse().ok()).unwrap_or(default.max_files),
    }
}

/// A size as Docker reads it: a number of bytes, or with a unit, by powers of 1000.
fn log_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let power = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" => 1,
        "m" | "mb" => 2,
        "g" | "gb" => 3,
        _ => return None,
    };
    number.checked_mul(1000_u64.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_logs_are_read_as_docker_reads_them() {
        for (text, bytes) in
            [("10000000", 10_000_000), ("10m", 10_000_000), ("5 MB", 5_000_000), ("64k", 64_000)]
        {
            assert_eq!(log_size(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1.5m", "10x"] {
            assert_eq!(log_size(text), None, "{text}");
        }
    }
}
