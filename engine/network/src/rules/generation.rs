//! The generation of the kernel's nftables rules: a number that every transaction raises by one.
//!
//! While it stays the same, nobody has changed any table of the network namespace.

use netlink_packet_core::NLM_F_ACK;

use super::netfilter::{Netfilter, attribute};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN` (`linux/netfilter/nf_tables.h`).
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `NFTA_GEN_ID`, a number in network byte order.
const GENERATION_ID: u16 = 1;

/// The generation in the network namespace of the calling thread; `None` where the kernel does not tell.
pub(super) fn current() -> Option<u32> {
    let mut generation = None;
    let each = |attributes: &[u8]| {
        generation =
            attribute(attributes, GENERATION_ID).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
    };
    Netfilter::open().ok()?.request(GET_GENERATION, NLM_F_ACK, &[], each).ok()?;
    generation
}

/// The generation that follows: the kernel leaves zero out.
pub(super) fn next(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}
