//! Messages to the kernel's packet filter (nfnetlink: `linux/netfilter/nfnetlink.h`).

use std::io;

use netlink_packet_core::{
    DefaultNla, Emitable, ErrorBuffer, ErrorMessage, NLA_F_NESTED, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer, NlasIterator, Parseable,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::libc::AF_INET;

/// Length of `struct nlmsghdr`.
const MESSAGE_HEADER: usize = 16;
/// Length of `struct nfgenmsg`, which begins with the address family.
const FAMILY_HEADER: usize = 4;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// A socket to the packet filter of the network namespace that the calling thread is in when it is opened.
pub(super) struct Netfilter(Socket);

impl Netfilter {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Sends a request about IPv4 and passes the attributes of every answer on. The flags have to ask for an
    /// acknowledgement or a dump, so that there is an end.
    pub(super) fn request(
        &self,
        kind: u16,
        flags: u16,
        attributes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.0.send(&message(kind, flags | NLM_F_REQUEST, attributes), 0)?;
        let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
        loop {
            buffer.clear();
            self.0.recv(&mut buffer, 0)?;
            let mut rest = buffer.as_slice();
            while !rest.is_empty() {
                let answer = NetlinkBuffer::new_checked(rest).map_err(invalid)?;
                match answer.message_type() {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return result(answer.payload()),
                    _ => each(answer.payload().get(FAMILY_HEADER..).unwrap_or_default()),
                }
                let length = usize::try_from(answer.length()).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(usize::from(NLMSG_ALIGNTO))..).unwrap_or_default();
            }
        }
    }
}

/// The value of the first attribute of this kind.
pub(super) fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == kind)?;
    let end = usize::from(found.length());
    found.into_inner().get(4..end)
}

/// An attribute that holds attributes.
pub(super) fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let attribute = DefaultNla::new(kind | NLA_F_NESTED, attributes.to_vec());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

fn message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0; MESSAGE_HEADER + FAMILY_HEADER];
    message.extend_from_slice(attributes);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut header = NetlinkBuffer::new(&mut message);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags(flags);
    message[MESSAGE_HEADER] = u8::try_from(AF_INET).unwrap_or_default();
    message
}

/// An error with code zero is an acknowledgement.
fn result(payload: &[u8]) -> io::Result<()> {
    let error = ErrorBuffer::new_checked(&payload)
        .and_then(|buffer| ErrorMessage::parse(&buffer))
        .map_err(invalid)?;
    if error.code.is_some() { Err(error.to_io()) } else { Ok(()) }
}

fn invalid(error: netlink_packet_core::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
