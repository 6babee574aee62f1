//! A query that came in a datagram, while the host's name servers are asked about it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use homeostat_network::InterfaceName;

use crate::answer::{answers, is_refusal};

/// How long a name server may take before the next one is asked. Who has asked mostly waits five seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// A query on its way.
///
/// Each has a socket of its own, so that its port and number are nobody's to guess who would like to answer in a name
/// server's stead.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) bridge: InterfaceName,
    pub(crate) asker: SocketAddrV4,
    /// As it came.
    pub(crate) query: Vec<u8>,
    pub(crate) deadline: Instant,
    pub(crate) socket: UdpSocket,
    /// As it was sent.
    sent: Vec<u8>,
    /// Those that were not asked yet.
    servers: Vec<SocketAddr>,
    /// What a server has said that would not or could not answer.
    refusal: Option<Vec<u8>>,
}

/// How it goes on with a query.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing has come yet.
    Waits,
    /// This is the answer.
    Answered(Vec<u8>),
    /// No name server has one.
    Failed,
}

impl Flight {
    /// Asks the first of the servers that can be asked; `None` when none can.
    pub(crate) fn start(
        bridge: &InterfaceName,
        asker: SocketAddrV4,
        query: &[u8],
        servers: &[SocketAddr],
    ) -> Option<Self> {
        let mut servers: Vec<_> = servers.iter().rev().copied().collect();
        let sent = renumbered(query, random_number()?);
        let (socket, deadline) = ask_next(&mut servers, &sent)?;
        let (bridge, query) = (bridge.clone(), query.to_vec());
        Some(Self { bridge, asker, query, deadline, socket, sent, servers, refusal: None })
    }

    /// Reads what has come.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Progress {
        loop {
            match self.socket.recv(buffer) {
                Ok(length) if answers(&self.sent, &buffer[..length]) => {
                    let answer = renumbered(&buffer[..length], number(&self.query));
                    if is_refusal(&answer) {
                        self.refusal = Some(answer);
                        return self.ask_next();
                    }
                    return Progress::Answered(answer);
                }
                // Not from the server, or not about this.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // As when nobody listens there.
                Err(_) => return self.ask_next(),
            }
        }
    }

    /// Goes on to the next server.
    pub(crate) fn ask_next(&mut self) -> Progress {
        match ask_next(&mut self.servers, &self.sent) {
            Some((socket, deadline)) => {
                (self.socket, self.deadline) = (socket, deadline);
                Progress::Waits
            }
            None => self.refusal.take().map_or(Progress::Failed, Progress::Answered),
        }
    }
}

/// Sends to the last of the servers that takes it, which are then as many less.
fn ask_next(servers: &mut Vec<SocketAddr>, query: &[u8]) -> Option<(UdpSocket, Instant)> {
    while let Some(server) = servers.pop() {
        if let Ok(socket) = ask(server, query) {
            return Some((socket, Instant::now() + PATIENCE));
        }
    }
    None
}

fn ask(server: SocketAddr, query: &[u8]) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    // Only what this server sends is received.
    socket.connect(server)?;
    socket.send(query)?;
    Ok(socket)
}

/// The number by which a message and its answer know each other: its first two bytes.
fn number(message: &[u8]) -> [u8; 2] {
    [message.first().copied().unwrap_or(0), message.get(1).copied().unwrap_or(0)]
}

fn renumbered(message: &[u8], number: [u8; 2]) -> Vec<u8> {
    let mut message = message.to_vec();
    for (byte, new) in message.iter_mut().zip(number) {
        *byte = new;
    }
    message
}

fn random_number() -> Option<[u8; 2]> {
    let mut number = [0; 2];
    getrandom::fill(&mut number).ok()?;
    Some(number)
}
