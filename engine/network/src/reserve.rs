//! Reserving the host ports that containers publish.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

use homeostat_reconciler::ErrorKind;
use homeostat_spec::Protocol;
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket};

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

/// Takes the ports in the network namespace of the calling thread: no other process can have them until the sockets
/// are closed, and those that are in use are found out now, not when a packet gets lost. All or none.
///
/// The sockets are bound and do not listen: packets to published ports are translated before they come to a socket,
/// and while they are not (the rules are gone), a connection is refused rather than left hanging. They are closed on
/// exec.
///
/// # Errors
/// The first port that cannot be had.
pub fn reserve(ports: &[HostPort]) -> Result<Vec<OwnedFd>, ReserveError> {
    ports.iter().copied().map(reserve_one).collect()
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
