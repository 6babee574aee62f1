//! The sockets of one bridge.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

use homeostat_network::InterfaceName;
use nix::errno::Errno;
use nix::sys::socket::sockopt::BindToDevice;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket};

use crate::NetworkNames;

/// How often the kernel is asked for a port that is free for both protocols.
const ATTEMPTS: usize = 16;

/// Listens on a bridge.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) bridge: InterfaceName,
    /// What is answered there.
    pub(crate) network: NetworkNames,
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: TcpListener,
    pub(crate) port: u16,
    /// The bridge's number: another bridge of this name has another one.
    index: u32,
}

impl Listener {
    /// Listens at the bridge's gateway address to what comes in by the bridge: other bridges and other hosts get no answer,
    /// whatever the host routes.
    pub(crate) fn open(bridge: &InterfaceName, network: &NetworkNames) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(bridge.as_str())?;
        let (udp, tcp, port) = sockets(bridge, network)?;
        Ok(Self { bridge: bridge.clone(), network: network.clone(), udp, tcp, port, index })
    }

    /// Whether it listens where the bridge is now, so that only what is answered may have to change.
    pub(crate) fn is_at(&self, network: &NetworkNames) -> bool {
        self.network.subnet == network.subnet
            && nix::net::if_::if_nametoindex(self.bridge.as_str()) == Ok(self.index)
    }

    /// Answers this from now on.
    pub(crate) fn with(self, network: &NetworkNames) -> Self {
        Self { network: network.clone(), ..self }
    }
}

fn sockets(bridge: &InterfaceName, network: &NetworkNames) -> io::Result<(UdpSocket, TcpListener, u16)> {
    let wanted = network.port.unwrap_or(0);
    let mut last = Errno::EADDRINUSE;
    for attempt in 0..ATTEMPTS {
        let port = if attempt == 0 { wanted } else { 0 };
        let address = |port| SocketAddrV4::new(network.subnet.gateway(), port);
        let udp = match open(bridge, SockType::Datagram, address(port)) {
            Ok(socket) => UdpSocket::from(socket),
            Err(errno) => {
                last = errno;
                continue;
            }
        };
        let port = udp.local_addr()?.port();
        match open(bridge, SockType::Stream, address(port)) {
            Ok(socket) => {
                nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(64)?)?;
                return Ok((udp, TcpListener::from(socket), port));
            }
            Err(errno) => last = errno,
        }
    }
    Err(last.into())
}

fn open(bridge: &InterfaceName, kind: SockType, address: SocketAddrV4) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, kind, flags, None)?;
    setsockopt(&socket, BindToDevice, &OsString::from(bridge.as_str()))?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(socket)
}
