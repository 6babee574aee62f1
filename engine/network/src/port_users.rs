//! Which sockets and processes have a port of the host (`proc_pid_net(5)`, `proc_pid_fd(5)`).

use std::net::Ipv4Addr;
use std::path::Path;

use homeostat_spec::Protocol;

use crate::HostPort;

/// A process that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Its process id.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`).
    pub name: String,
}

/// The sockets that stand in the way of binding a port, by inode; 0 for a connection that no process has any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PortUsers(Vec<u64>);

/// Finds the sockets that stand in the way. Best effort: a socket that is bound and does not listen is not found.
pub(crate) fn port_users(port: HostPort) -> PortUsers {
    let tables = match port.protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let inodes = tables
        .iter()
        .filter_map(|table| fs_err::read_to_string(Path::new("/proc/thread-self/net").join(table)).ok())
        .flat_map(|table| table.lines().filter_map(|line| user_in_line(line, port)).collect::<Vec<_>>())
        .collect();
    PortUsers(inodes)
}

impl PortUsers {
    /// Whether there are any, and no process has one of them.
    pub(crate) fn only_ended_connections(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|inode| *inode == 0)
    }

    /// A process that has one of the sockets.
    pub(crate) fn owner(&self) -> Option<PortOwner> {
        let targets: Vec<String> =
            self.0.iter().filter(|inode| **inode != 0).map(|inode| format!("socket:[{inode}]")).collect();
        if targets.is_empty() {
            return None;
        }
        fs_err::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            has_file(pid, &targets).then(|| PortOwner { pid, name: process_name(pid) })
        })
    }
}

/// The inode of the socket in a line of /proc/net/tcp and the like, if it stands in the way of the port.
fn user_in_line(line: &str, port: HostPort) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, number) = fields.get(1)?.split_once(':')?;
    if u16::from_str_radix(number, 16).ok()? != port.port {
        return None;
    }
    let address = local_address(address)?;
    let collides = address.is_unspecified() || port.address.is_none_or(|wanted| wanted == address);
    if collides { fields.get(9)?.parse().ok() } else { None }
}

/// The IPv4 address of a socket; of an IPv6 socket the one it stands for, if it takes IPv4 as well. Each group of
/// eight digits is a word in the machine's byte order.
fn local_address(hex: &str) -> Option<Ipv4Addr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes).map(Ipv4Addr::from);
    match hex.len() {
        8 => word(hex),
        32 if hex.bytes().all(|digit| digit == b'0') => Some(Ipv4Addr::UNSPECIFIED),
        32 if word(&hex[..16][..8])?.is_unspecified()
            && word(&hex[16..24])?.octets() == [0, 0, 0xff, 0xff] =>
        {
            word(&hex[24..])
        }
        _ => None,
    }
}

fn has_file(pid: u32, targets: &[String]) -> bool {
    let Ok(files) = fs_err::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| {
        fs_err::read_link(file.path())
            .is_ok_and(|target| target.to_str().is_some_and(|target| targets.iter().any(|t| t == target)))
    })
}

fn process_name(pid: u32) -> String {
    fs_err::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENING: &str = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000 100 0 0 10 0";
    const EVERY_IPV6: &str = "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100";
    const MAPPED: &str = "   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:0000 0A 00000000:00000000 00:00000000 00000000     0        0 78 1 0 100";

    fn port(address: Option<[u8; 4]>) -> HostPort {
        HostPort { address: address.map(Ipv4Addr::from), protocol: Protocol::Tcp, port: 8080 }
    }

    #[test]
    fn only_sockets_that_stand_in_the_way_count() {
        assert_eq!(user_in_line(LISTENING, port(None)), Some(4242));
        assert_eq!(user_in_line(LISTENING, port(Some([127, 0, 0, 1]))), Some(4242));
        assert_eq!(user_in_line(LISTENING, port(Some([10, 0, 0, 1]))), None);
        assert_eq!(user_in_line(EVERY_IPV6, port(Some([10, 0, 0, 1]))), Some(77));
        assert_eq!(user_in_line(MAPPED, port(Some([127, 0, 0, 1]))), Some(78));
        assert_eq!(user_in_line("  sl  local_address rem_address   st", port(None)), None);
    }
}
