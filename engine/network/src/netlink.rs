//! Requests to the kernel over rtnetlink (RFC 3549).

use std::cell::Cell;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::error::{Attempted, NetworkError};

/// Enough for every datagram that the kernel sends: it fills at most 32 KiB of a dump into one.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// How often a dump that was disturbed by a change is asked for again before it is taken as it is.
const DUMP_ATTEMPTS: usize = 5;

/// An rtnetlink socket. It speaks for the network namespace that the thread which opened it was in at that
/// moment, also when that thread has moved into another since. One thread at a time uses it; opening one costs
/// some ten microseconds.
#[derive(Debug)]
pub struct HostSocket {
    socket: Socket,
    sequence: Cell<u32>,
}

impl HostSocket {
    /// Opens a socket in the network namespace of the calling thread. It is closed on exec.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn open() -> Result<Self, NetworkError> {
        Self::open_socket().attempted(|| "open a netlink socket".to_owned())
    }

    fn open_socket() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// Asks for a change and waits until the kernel has made it.
    pub(crate) fn change(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.receive(sequence, |_| {}).map(|_| ())
    }

    /// Asks for one object; an answer of "no such device" is `None`.
    pub(crate) fn get(&self, message: RouteNetlinkMessage) -> io::Result<Option<RouteNetlinkMessage>> {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut answer = None;
        match self.receive(sequence, |message| answer = Some(message)) {
            Ok(_) => Ok(answer),
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for every object of a kind.
    pub(crate) fn dump(&self, message: &RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        for attempt in 1.. {
            let sequence = self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut answers = Vec::new();
            let whole = self.receive(sequence, |message| answers.push(message))?;
            if whole || attempt == DUMP_ATTEMPTS {
                return Ok(answers);
            }
        }
        unreachable!("the loop has no end")
    }

    fn send(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<u32> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(sequence)
    }

    /// Reads answers to the request of this number until the last. Whether they are of one moment: a dump during
    /// which something changed may lack objects.
    fn receive(&self, sequence: u32, mut each: impl FnMut(RouteNetlinkMessage)) -> io::Result<bool> {
        let mut whole = true;
        let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
                if message.header.sequence_number != sequence {
                    continue;
                }
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => each(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(whole),
                    _ => {}
                }
            }
        }
    }
}
