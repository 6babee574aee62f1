//! The generation of the kernel's nftables rules: a number that every transaction raises by one.
//!
//! While it stays the same, nobody has changed any table of the network namespace.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN` (`linux/netfilter/nfnetlink.h`, `nf_tables.h`).
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN`.
const NEW_GENERATION: u16 = 10 << 8 | 15;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NFTA_GEN_ID`, a number in network byte order.
const GENERATION_ID: u16 = 1;
/// Length of `struct nlmsghdr`.
const MESSAGE_HEADER: usize = 16;
/// Length of `struct nlmsghdr` and `struct nfgenmsg`.
const HEADERS: usize = MESSAGE_HEADER + 4;

/// The generation in the network namespace of the calling thread; `None` where the kernel does not tell.
pub(super) fn current() -> Option<u32> {
    let answer = ask().ok()?;
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind == NEW_GENERATION { find_id(answer.get(HEADERS..)?) } else { None }
}

/// The generation that follows: the kernel leaves zero out.
pub(super) fn next(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}

fn ask() -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let mut answer = Vec::with_capacity(4096);
    socket.recv(&mut answer, 0)?;
    Ok(answer)
}

fn request() -> [u8; HEADERS] {
    let mut message = [0; HEADERS];
    message[..4].copy_from_slice(&20u32.to_ne_bytes());
    message[4..6].copy_from_slice(&GET_GENERATION.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    message
}

/// Finds the attribute with the generation among attributes of the form length, type, value, padding to four bytes.
fn find_id(mut attributes: &[u8]) -> Option<u32> {
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        if kind == GENERATION_ID {
            return Some(u32::from_be_bytes(attributes.get(4..8)?.try_into().ok()?));
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}
