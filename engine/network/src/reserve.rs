//! Reserving the host ports that containers publish.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

use homeostat_reconciler::ErrorKind;
use homeostat_spec::{Protocol, PublishedPort};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket,
};

use crate::HostPort;
use crate::port_users::{PortOwner, port_users};

/// A port could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// Somebody else has the port.
    #[error("port {port} of the host is in use{}", by(.owner.as_ref()))]
    InUse {
        /// The port.
        port: HostPort,
        /// Who has it, where that can be found out. Another container's published port cannot.
        owner: Option<PortOwner>,
    },
    /// The engine was to choose one of a range, and all are in use.
    #[error("no port of the host from {} to {last} is free", .first.port)]
    NoneFree {
        /// The first port.
        first: HostPort,
        /// The last one.
        last: u16,
    },
    /// The host has no such address at the moment.
    #[error("port {port} cannot be published: the host does not have this address")]
    NoSuchAddress {
        /// The port.
        port: HostPort,
    },
    /// The kernel refuses for another reason.
    #[error("cannot reserve port {port} of the host")]
    Kernel {
        /// The port.
        port: HostPort,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ReserveError {
    /// Who can do something about it. A port in use counts as transient: whoever has it may end.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Kernel { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ErrorKind::Config
            }
            _ => ErrorKind::Transient,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse { owner: Some(_), .. } => Some("stop that process, or publish another host port"),
            Self::NoneFree { .. } => Some("publish it in a wider range, or see `ss -lntup`"),
            Self::InUse { owner: None, .. } => {
                Some("another container may publish it: publish another host port, or see `ss -lntup`")
            }
            Self::NoSuchAddress { .. } => Some("publish the port on an address that `ip -4 address` lists"),
            Self::Kernel { .. } => None,
        }
    }
}

fn by(owner: Option<&PortOwner>) -> String {
    owner.map(|owner| format!(" by {} (process {})", owner.name, owner.pid)).unwrap_or_default()
}

/// Ports of the host that are a container's until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    /// Which, in the order in which they were asked for; none is still to be chosen.
    pub ports: Vec<PublishedPort>,
    /// Closed with this.
    sockets: Vec<OwnedFd>,
}

/// Takes the ports in the network namespace of the calling thread: no other process can have them until the sockets
/// are closed, and those that are in use are found out now, not when a packet gets lost. All or none.
///
/// One that is to be chosen is what it was `before`, for the same port of the container, if that is still free.
///
/// The sockets are bound and do not listen: packets to published ports are translated before they come to a socket,
/// and while they are not (the rules are gone), a connection is refused rather than left hanging. They are closed on
/// exec.
///
/// # Errors
/// The first port that cannot be had.
pub fn reserve(ports: &[PublishedPort], before: &[PublishedPort]) -> Result<Reserved, ReserveError> {
    let mut reserved = Reserved { ports: ports.to_vec(), sockets: Vec::with_capacity(ports.len()) };
    let mut before = before.to_vec();
    // What is fixed first: no choice may take it.
    let (mut fixed, mut chosen) = (Vec::new(), Vec::new());
    for port in &mut reserved.ports {
        if port.is_chosen() { chosen.push(port) } else { fixed.push(port) }
    }
    for port in fixed {
        reserved.sockets.push(reserve_one(HostPort::from(&*port))?);
    }
    let mut open = Vec::new();
    for port in chosen {
        match take_again(port, &mut before) {
            Some(socket) => reserved.sockets.push(socket),
            None => open.push(port),
        }
    }
    for port in open {
        reserved.sockets.push(choose(port)?);
    }
    Ok(reserved)
}

/// Takes the port that was chosen before, if it may still be chosen and is free.
fn take_again(port: &mut PublishedPort, before: &mut Vec<PublishedPort>) -> Option<OwnedFd> {
    let may_be = |number: u16| match port.host_port_last {
        Some(last) => (port.host_port..=last).contains(&number),
        None => true,
    };
    let index = before.iter().position(|had| {
        (had.host_ip, had.container_port, had.protocol) == (port.host_ip, port.container_port, port.protocol)
            && may_be(had.host_port)
    })?;
    let had = before.swap_remove(index);
    let socket = reserve_one(HostPort::from(&had)).ok()?;
    *port = had;
    Some(socket)
}

/// Takes a port that is free, and notes which.
fn choose(port: &mut PublishedPort) -> Result<OwnedFd, ReserveError> {
    let wanted = HostPort::from(&*port);
    let Some(last) = port.host_port_last.take() else {
        // The kernel chooses.
        let socket = reserve_one(wanted)?;
        let address: SockaddrIn = getsockname(socket.as_raw_fd())
            .map_err(|errno| ReserveError::Kernel { port: wanted, source: errno.into() })?;
        port.host_port = address.port();
        return Ok(socket);
    };
    for number in wanted.port..=last {
        match reserve_one(HostPort { port: number, ..wanted }) {
            Ok(socket) => {
                port.host_port = number;
                return Ok(socket);
            }
            Err(ReserveError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ReserveError::NoneFree { first: wanted, last })
}

fn reserve_one(port: HostPort) -> Result<OwnedFd, ReserveError> {
    match bind_socket(port, false) {
        Err(Errno::EADDRINUSE) => reserve_used(port),
        result => result.map_err(|errno| refused(port, errno)),
    }
}

/// The port is in use; perhaps only by connections that have ended (in `TIME_WAIT`, for a minute), which nobody serves
/// any more.
fn reserve_used(port: HostPort) -> Result<OwnedFd, ReserveError> {
    let users = port_users(port);
    if users.only_ended_connections() {
        match bind_socket(port, true) {
            Err(Errno::EADDRINUSE) => {}
            result => return result.map_err(|errno| refused(port, errno)),
        }
    }
    Err(ReserveError::InUse { port, owner: users.owner() })
}

/// A socket that is bound to the port, past ended connections or not. Either way, no other socket can be bound to
/// it: the kernel lets two share a port only where both have `SO_REUSEADDR` set at that moment.
fn bind_socket(port: HostPort, past_ended_connections: bool) -> Result<OwnedFd, Errno> {
    let kind = match port.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let address = SockaddrIn::from(SocketAddrV4::new(port.bind_address(), port.port));
    setsockopt(&socket, ReuseAddr, &past_ended_connections)?;
    bind(socket.as_raw_fd(), &address)?;
    setsockopt(&socket, ReuseAddr, &false)?;
    Ok(socket)
}

fn refused(port: HostPort, errno: Errno) -> ReserveError {
    match errno {
        Errno::EADDRNOTAVAIL => ReserveError::NoSuchAddress { port },
        errno => ReserveError::Kernel { port, source: errno.into() },
    }
}
