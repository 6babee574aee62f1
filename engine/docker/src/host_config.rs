//! Parts of what the engine tells of a container's host configuration, as a spec writes them.

use std::net::Ipv4Addr;

use bollard::models::{DeviceMapping, HostConfig, PortMap, ResourcesUlimits};
use homeostat_spec::{
    Confinement, ContainerConfig, Device, ExtraHost, Kernel, LogRotation, Names, Profile, Protocol,
    PublishedPort, Ulimit,
};

use crate::Flavour;
use crate::create::{SECCOMP_UNCONFINED, UNMASK_ALL};

/// Sizes of /dev/shm that nobody asked for: Docker's and Podman's.
const SHM_SIZES: [i64; 3] = [0, 67_108_864, 65_536_000];

/// The ports of a map of Docker's API: those that were asked for, or those that are bound.
pub(crate) fn ports(bindings: Option<&PortMap>) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (port, bindings) in bindings.into_iter().flatten() {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let Ok(container_port) = number.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bindings.iter().flatten() {
            let told = binding.host_ip.as_deref().unwrap_or_default();
            if told.contains(':') {
                // What is published on every address is bound to every one of IPv6 too.
                continue;
            }
            let host_ip = told.parse::<Ipv4Addr>().ok().filter(|ip| !ip.is_unspecified());
            let host_port = binding.host_port.as_deref().unwrap_or_default();
            let (first, last) = host_port.split_once('-').unwrap_or((host_port, ""));
            ports.push(PublishedPort {
                host_ip,
                host_port: first.parse().unwrap_or_default(),
                host_port_last: last.parse().ok(),
                container_port,
                protocol,
            });
        }
    }
    ports.sort();
    ports
}

/// Whether the ports are those that a container was created with: Podman tells the number that it has chosen, and of
/// a container that publishes all, all.
pub(crate) fn same_ports(asked: &ContainerConfig, actual: &[PublishedPort]) -> bool {
    let mut others = actual.to_vec();
    let all_there = asked.ports.iter().all(|asked| {
        let there = others.iter().position(|other| is_choice_of(asked, other));
        there.map(|index| others.swap_remove(index)).is_some()
    });
    all_there && (asked.publish_all || others.is_empty())
}

fn is_choice_of(asked: &PublishedPort, told: &PublishedPort) -> bool {
    let of_one_kind = (asked.host_ip, asked.container_port, asked.protocol)
        == (told.host_ip, told.container_port, told.protocol);
    let in_range = match (asked.host_port, asked.host_port_last) {
        (0, _) => true,
        (first, Some(last)) => (first..=last).contains(&told.host_port),
        (first, None) => first == told.host_port,
    };
    of_one_kind && in_range
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

/// What the kernel gives it. Podman tells the limits of processes that its own configuration gives to every container.
pub(crate) fn kernel(host: &HostConfig, flavour: Flavour) -> Kernel {
    let told = host.ulimits.iter().flatten().filter(|_| flavour == Flavour::Docker);
    let number = |told: Option<i64>| told.and_then(|number| u64::try_from(number).ok());
    let ulimit = |told: &ResourcesUlimits| {
        Some((told.name.clone()?, Ulimit { soft: number(told.soft), hard: number(told.hard) }))
    };
    let device = |told: &DeviceMapping| {
        Some(Device {
            host: told.path_on_host.clone()?,
            container: told.path_in_container.clone()?,
            permissions: told.cgroup_permissions.clone().unwrap_or_default(),
        })
    };
    let mut devices: Vec<_> = host.devices.iter().flatten().filter_map(device).collect();
    devices.sort();
    Kernel {
        ulimits: told.filter_map(ulimit).collect(),
        sysctls: host.sysctls.clone().unwrap_or_default().into_iter().collect(),
        devices,
        shm_size: number(host.shm_size.filter(|size| !SHM_SIZES.contains(size))),
    }
}

/// What keeps its programs from the host.
pub(crate) fn confinement(host: &HostConfig) -> Confinement {
    let has = |wanted: &str| {
        host.security_opt.iter().flatten().any(|option| option.replacen(':', "=", 1) == wanted)
    };
    let profile = |unconfined: bool| if unconfined { Profile::Unconfined } else { Profile::Default };
    let no_path = host.masked_paths.as_ref().is_some_and(Vec::is_empty) && host.privileged != Some(true);
    Confinement {
        seccomp: profile(has(SECCOMP_UNCONFINED)),
        system_paths: profile(no_path || has(UNMASK_ALL)),
    }
}

/// What names mean in it.
pub(crate) fn names(host: &HostConfig) -> Names {
    let extra_host = |told: &String| {
        let (name, address) = told.split_once(':')?;
        Some(ExtraHost { name: name.to_owned(), address: address.trim_matches(['[', ']']).parse().ok() })
    };
    Names {
        extra_hosts: host.extra_hosts.iter().flatten().filter_map(extra_host).collect(),
        servers: host.dns.iter().flatten().filter_map(|server| server.parse().ok()).collect(),
        search: host.dns_search.clone().unwrap_or_default(),
        options: host.dns_options.clone().unwrap_or_default(),
    }
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

    fn port(host_port: u16, host_port_last: Option<u16>, container_port: u16) -> PublishedPort {
        let protocol = Protocol::Tcp;
        PublishedPort { host_ip: None, host_port, host_port_last, container_port, protocol }
    }

    #[test]
    fn a_chosen_port_is_still_the_one_that_was_asked_for() {
        let mut asked = ContainerConfig {
            ports: vec![port(8080, None, 80), port(0, None, 81), port(9000, Some(9010), 82)],
            ..ContainerConfig::default()
        };
        assert!(same_ports(&asked, &asked.ports));
        let mut told = vec![port(9003, None, 82), port(32_768, None, 81), port(8080, None, 80)];
        assert!(same_ports(&asked, &told));
        told.push(port(32_769, None, 83));
        assert!(!same_ports(&asked, &told));
        asked.publish_all = true;
        assert!(same_ports(&asked, &told));
        told[0].host_port = 9011;
        assert!(!same_ports(&asked, &told));
    }

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
