//! Queries that come over TCP, one after another: each message has two bytes with its length before it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use homeostat_network::InterfaceName;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::answer::{answers, failed, is_refusal};

/// How long somebody may stay connected without saying anything.
const IDLE: Duration = Duration::from_secs(10);

/// How long a name server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) bridge: InterfaceName,
    pub(crate) asker: SocketAddrV4,
    pub(crate) deadline: Instant,
    client: TcpStream,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A query comes.
    Reads(Incoming),
    /// It goes to a name server.
    Asks(Asked, Outgoing),
    /// The name server's answer comes.
    Waits(Asked, Incoming),
    /// The answer goes back.
    Answers(Outgoing),
}

/// What a name server is asked.
#[derive(Debug)]
struct Asked {
    server: TcpStream,
    query: Vec<u8>,
    /// Those that were not asked yet.
    others: Vec<SocketAddr>,
}

/// What a connection needs now.
#[derive(Debug)]
pub(crate) enum Need {
    /// To be called again when something has come or can be sent.
    Time,
    /// A decision about this query.
    Decision(Vec<u8>),
    /// To be closed.
    End,
}

impl Stream {
    pub(crate) fn new(bridge: InterfaceName, asker: SocketAddrV4, client: TcpStream) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        let state = State::Reads(Incoming::default());
        Ok(Self { bridge, asker, deadline: Instant::now() + IDLE, client, state })
    }

    /// What is waited for.
    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.state {
            State::Reads(_) => (self.client.as_fd(), PollFlags::IN),
            State::Answers(_) => (self.client.as_fd(), PollFlags::OUT),
            State::Asks(asked, _) => (asked.server.as_fd(), PollFlags::OUT),
            State::Waits(asked, _) => (asked.server.as_fd(), PollFlags::IN),
        }
    }

    /// Does what can be done now.
    pub(crate) fn advance(&mut self) -> Need {
        loop {
            match &mut self.state {
                State::Reads(incoming) => match incoming.read(&mut self.client) {
                    Ok(Some(query)) => return Need::Decision(query),
                    Ok(None) => return Need::Time,
                    Err(_) => return Need::End,
                },
                State::Answers(outgoing) => match outgoing.write(&mut self.client) {
                    Ok(true) => self.enter(State::Reads(Incoming::default()), IDLE),
                    Ok(false) => return Need::Time,
                    Err(_) => return Need::End,
                },
                State::Asks(asked, outgoing) => match outgoing.write(&mut asked.server) {
                    Ok(false) => return Need::Time,
                    Ok(true) => self.listen_to_server(),
                    Err(_) => self.ask_next(),
                },
                State::Waits(asked, incoming) => match incoming.read(&mut asked.server) {
                    Ok(None) => return Need::Time,
                    Ok(Some(answer)) if answers(&asked.query, &answer) => {
                        if is_refusal(&answer) && !asked.others.is_empty() {
                            self.ask_next();
                        } else {
                            self.answer(&answer);
                        }
                    }
                    Ok(Some(_)) | Err(_) => self.ask_next(),
                },
            }
        }
    }

    /// Nothing has come in time.
    pub(crate) fn time_out(&mut self) -> Need {
        match &self.state {
            State::Reads(_) | State::Answers(_) => Need::End,
            State::Asks(..) | State::Waits(..) => {
                self.ask_next();
                self.advance()
            }
        }
    }

    /// Sends an answer.
    pub(crate) fn answer(&mut self, answer: &[u8]) {
        self.enter(State::Answers(Outgoing::new(answer)), IDLE);
    }

    /// Asks the host's name servers.
    pub(crate) fn forward(&mut self, query: Vec<u8>, servers: &[SocketAddr]) {
        self.ask(query, servers.iter().rev().copied().collect());
    }

    fn enter(&mut self, state: State, time: Duration) {
        self.state = state;
        self.deadline = Instant::now() + time;
    }

    fn ask(&mut self, query: Vec<u8>, mut others: Vec<SocketAddr>) {
        while let Some(server) = others.pop() {
            if let Ok(server) = begin_to_connect(server) {
                let outgoing = Outgoing::new(&query);
                return self.enter(State::Asks(Asked { server, query, others }, outgoing), PATIENCE);
            }
        }
        self.answer(&failed(&query).unwrap_or_default());
    }

    fn ask_next(&mut self) {
        let nothing = State::Reads(Incoming::default());
        if let State::Asks(asked, _) | State::Waits(asked, _) = std::mem::replace(&mut self.state, nothing) {
            self.ask(asked.query, asked.others);
        }
    }

    fn listen_to_server(&mut self) {
        let nothing = State::Reads(Incoming::default());
        if let State::Asks(asked, _) = std::mem::replace(&mut self.state, nothing) {
            self.enter(State::Waits(asked, Incoming::default()), PATIENCE);
        }
    }
}

/// A connection that is there when it can be written to, or fails then.
fn begin_to_connect(server: SocketAddr) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(errno.into()),
    }
}

/// A message that comes piece by piece.
#[derive(Debug, Default)]
struct Incoming {
    bytes: Vec<u8>,
}

impl Incoming {
    /// The message, when it is whole.
    fn read(&mut self, from: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        loop {
            let length = match self.bytes.as_slice() {
                [high, low, ..] => 2 + usize::from(u16::from_be_bytes([*high, *low])),
                _ => 2,
            };
            let missing = length - self.bytes.len();
            if missing == 0 && self.bytes.len() > 2 {
                return Ok(Some(self.bytes.split_off(2)));
            }
            if missing == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut buffer = [0; 4096];
            let room = missing.min(buffer.len());
            match from.read(&mut buffer[..room]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.bytes.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A message that goes piece by piece.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    fn new(message: &[u8]) -> Self {
        // Whatever was received as one message has a length that fits; what is made here is small.
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&message[..usize::from(length)]);
        Self { bytes, sent: 0 }
    }

    /// Whether all of it is sent now.
    fn write(&mut self, to: &mut TcpStream) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match to.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
