//! Address translation and filtering for containers: one nftables table of our own.
//!
//! The rules never change: `layout.nft` is their text. What changes are the elements of
//! its sets and maps, so a published port is one element and a lookup costs the same with one port or a thousand.

mod elements;
mod error;
mod flows;
mod generation;
mod listing;
mod netfilter;
mod nft;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

pub use error::RulesError;

use crate::{HostPort, InterfaceName, Subnet};
use elements::Elements;

/// What the table is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredRules {
    /// Our bridges.
    pub bridges: BTreeMap<InterfaceName, BridgeRules>,
    /// Published ports, each with the address and port of the container behind it. A port on one address goes before
    /// the same port on every address.
    pub published: BTreeMap<HostPort, SocketAddrV4>,
}

/// What the rules need to know of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeRules {
    /// The subnet of the containers on it.
    pub subnet: Subnet,
    /// Its network has no way out to other networks.
    pub internal: bool,
}

/// What [`Table::apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Nothing, since nothing differed.
    Unchanged,
    /// Added and removed elements.
    Updated,
    /// Made the table anew, since it was not there or somebody had changed its rules.
    Replaced,
}

/// Our table in the family `ip`.
///
/// # Guarantees
/// - Only the table of this name is ever read or changed. Every change is one transaction: there is no moment at
///   which a port that stays published is not.
/// - TCP connections that are established go on through a change. UDP packets go where the change says, also from a
///   sender that has been sending before.
///
/// # Caveats
/// - Every base chain of a hook has a say: a `drop` in another table, such as Docker's `FORWARD` policy or a firewall
///   manager's, stays a drop. The decision record 0031 says what can be done beside them.
/// - Ports that are published by a container of an internal network can be reached from the host and from that network.
#[derive(Debug)]
pub struct Table {
    name: InterfaceName,
    known: Option<Known>,
}

/// The content that the table is known to have as long as the kernel's rules are of this generation.
#[derive(Debug)]
struct Known {
    generation: u32,
    elements: Elements,
}

impl Table {
    /// The table of this name, which need not exist yet.
    pub fn new(name: InterfaceName) -> Self {
        Self { name, known: None }
    }

    /// Makes the table say what is desired. Works in the network namespace of the calling thread.
    ///
    /// Costs one message to the kernel when neither the wish nor any rule of the host has changed since the last
    /// call, and one or two runs of `nft` otherwise.
    ///
    /// # Errors
    /// `nft` is not there or fails; the table is then as it was.
    pub fn apply(&mut self, desired: &DesiredRules) -> Result<Applied, RulesError> {
        let wanted = Elements::of(desired);
        let before = generation::current();
        let current = self.current(before);
        let changed_udp_ports = wanted.changed_udp_ports(current.as_ref());
        let (applied, script) = match current {
            Some(current) if current == wanted => (Applied::Unchanged, None),
            Some(current) => (Applied::Updated, Some(script::update(&self.name, &current, &wanted))),
            None => (Applied::Replaced, Some(script::replace(&self.name, &wanted))),
        };
        self.known = None;
        if let Some(script) = &script {
            self.submit(applied, script, &wanted)?;
        }
        let expected = before.map(|before| if script.is_some() { generation::next(before) } else { before });
        if let Some(generation) = expected.filter(|_| generation::current() == expected) {
            self.known = Some(Known { generation, elements: wanted });
        }
        forget_flows(&changed_udp_ports);
        Ok(applied)
    }

    /// Removes the table. That it does not exist is no error.
    ///
    /// # Errors
    /// `nft` is not there or fails.
    pub fn remove(&mut self) -> Result<(), RulesError> {
        self.known = None;
        nft::run(&script::remove(&self.name))
    }

    /// The table's content, if it exists and its rules are ours.
    fn current(&self, generation: Option<u32>) -> Option<Elements> {
        match &self.known {
            Some(known) if Some(known.generation) == generation => Some(known.elements.clone()),
            _ => nft::list(&self.name).and_then(|listing| listing::read(&listing)),
        }
    }

    /// Runs the script. An update can find the table changed since it was read: then it is made anew.
    fn submit(&self, applied: Applied, script: &str, wanted: &Elements) -> Result<(), RulesError> {
        match nft::run(script) {
            Err(RulesError::Refused { message }) if applied == Applied::Updated => {
                tracing::debug!(table = %self.name, message, "the table has changed meanwhile: making it anew");
                nft::run(&script::replace(&self.name, wanted))
            }
            result => result,
        }
    }
}

/// Best effort: a kernel without `nf_conntrack_netlink` cannot be asked, and forgets by itself when a sender rests.
fn forget_flows(udp_ports: &BTreeSet<u16>) {
    if udp_ports.is_empty() {
        return;
    }
    if let Err(error) = flows::forget_udp(udp_ports) {
        tracing::debug!(%error, "flows to UDP ports whose publication has changed could not be forgotten");
    }
}
