//! The nftables table.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use crate::{HostPort, InterfaceName};

/// What the table has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredRules {
    /// Our bridges; the value says whether the network is internal (no way out).
    pub bridges: BTreeMap<InterfaceName, bool>,
    /// Published ports, with the address and port of the container behind each.
    pub published: BTreeMap<HostPort, SocketAddrV4>,
}

/// What [`Table::apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Nothing differed.
    Unchanged,
    /// Elements were added or removed.
    Updated,
    /// The table was not there or not as it should be, and was made anew in one transaction.
    Replaced,
}

/// Why the table could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The program `nft` is not installed.
    #[error("the program `nft` is not installed")]
    NftMissing,
}

/// Our own nftables table.
#[derive(Debug)]
pub struct Table {
    name: InterfaceName,
}

impl Table {
    /// The table of this name, in the family `ip`.
    pub fn new(name: InterfaceName) -> Self {
        Self { name }
    }
    /// Makes the table as desired. `&mut`: remembers what it did.
    pub fn apply(&mut self, _desired: &DesiredRules) -> Result<Applied, RulesError> {
        let _ = &self.name;
        unimplemented!()
    }
    /// Removes the table.
    pub fn remove(&mut self) -> Result<(), RulesError> {
        unimplemented!()
    }
}
