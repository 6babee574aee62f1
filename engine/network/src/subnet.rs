//! IPv4 subnets, and the choice of one that is free.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 subnet in CIDR notation (RFC 4632), as `172.29.4.0/24`, with all bits after the prefix zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

/// Why a text is not a [`Subnet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IPv4 subnet in CIDR notation, as 172.29.4.0/24")]
pub struct SubnetError(String);

/// Every subnet that could be chosen collides with a route or an address of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no subnet is free: every one that could be chosen collides with a route or an address of this host")]
pub struct NoFreeSubnet;

impl NoFreeSubnet {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        "give the network a `subnet` that this host does not use"
    }
}

/// Where subnets are chosen from, in this order; see the decision record 0030.
const POOLS: [Subnet; 3] = [
    Subnet { address: Ipv4Addr::new(172, 29, 0, 0), prefix: 16 },
    Subnet { address: Ipv4Addr::new(10, 213, 0, 0), prefix: 16 },
    Subnet { address: Ipv4Addr::new(192, 168, 208, 0), prefix: 20 },
];

/// Prefix length of a chosen subnet: room for 253 containers.
const CHOSEN_PREFIX: u8 = 24;

impl Subnet {
    /// The subnet that an address is in. `None` for a prefix length over 32.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32)
            .then(|| Self { address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix })
    }

    /// Its first address, which no host may have.
    pub fn network(&self) -> Ipv4Addr {
        self.address
    }

    /// Its last address, the broadcast address.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask(self.prefix))
    }

    /// The address that the bridge gets: the first one that a host may have.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits().saturating_add(1))
    }

    /// Length of the prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address is in this subnet.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.address.to_bits()
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let shorter = self.prefix.min(other.prefix);
        self.address.to_bits() & mask(shorter) == other.address.to_bits() & mask(shorter)
    }

    /// Whether there is room for a gateway and at least one container.
    pub fn has_room(&self) -> bool {
        self.prefix <= 30
    }
}

/// The bits of a prefix, set.
fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

/// The first subnet of the pools that overlaps none of those given: routes and addresses of the host (as
/// [`occupied_subnets`](crate::occupied_subnets) reads them) and subnets promised to other networks.
///
/// # Errors
/// All are taken.
pub fn choose_subnet(taken: &[Subnet]) -> Result<Subnet, NoFreeSubnet> {
    POOLS
        .iter()
        .flat_map(|pool| {
            let step = 1usize << (32 - CHOSEN_PREFIX);
            (pool.network().to_bits()..=pool.broadcast().to_bits()).step_by(step)
        })
        .map(|bits| Subnet { address: Ipv4Addr::from_bits(bits), prefix: CHOSEN_PREFIX })
        .find(|candidate| !taken.iter().any(|subnet| subnet.overlaps(candidate)))
        .ok_or(NoFreeSubnet)
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let error = || SubnetError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address: Ipv4Addr = address.parse().map_err(|_| error())?;
        let prefix: u8 = prefix.parse().map_err(|_| error())?;
        Self::containing(address, prefix).filter(|subnet| subnet.address == address).ok_or_else(error)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_and_last_addresses_are_known() {
        let net = subnet("172.29.4.0/24");
        assert_eq!(net.gateway(), Ipv4Addr::new(172, 29, 4, 1));
        assert_eq!(net.broadcast(), Ipv4Addr::new(172, 29, 4, 255));
        assert_eq!(subnet("0.0.0.0/0").broadcast(), Ipv4Addr::BROADCAST);
        assert_eq!(subnet("10.0.0.7/32").broadcast(), Ipv4Addr::new(10, 0, 0, 7));
    }

    #[test]
    fn texts_that_are_no_subnet_are_refused() {
        for text in ["", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "10.0.0/8", "::/0", "10.0.0.0/-1"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_free_subnet_avoids_what_is_taken() {
        assert_eq!(choose_subnet(&[]).unwrap(), subnet("172.29.0.0/24"));
        assert_eq!(choose_subnet(&[subnet("172.29.0.128/25")]).unwrap(), subnet("172.29.1.0/24"));
        assert_eq!(choose_subnet(&[subnet("172.16.0.0/12")]).unwrap(), subnet("10.213.0.0/24"));
        let private = [subnet("172.16.0.0/12"), subnet("10.0.0.0/8")];
        assert_eq!(choose_subnet(&private).unwrap(), subnet("192.168.208.0/24"));
        choose_subnet(&[subnet("0.0.0.0/0")]).unwrap_err();
    }

    proptest! {
        #[test]
        fn a_subnet_survives_being_written_and_read(bits: u32, prefix in 0u8..=32) {
            let net = Subnet::containing(Ipv4Addr::from_bits(bits), prefix).unwrap();
            prop_assert_eq!(subnet(&net.to_string()), net);
            prop_assert!(net.contains(net.network()) && net.contains(net.broadcast()));
        }

        #[test]
        fn overlap_is_mutual_and_means_a_common_address(a: u32, p in 0u8..=32, b: u32, q in 0u8..=32) {
            let one = Subnet::containing(Ipv4Addr::from_bits(a), p).unwrap();
            let other = Subnet::containing(Ipv4Addr::from_bits(b), q).unwrap();
            let common = one.contains(other.network()) || other.contains(one.network());
            prop_assert_eq!(one.overlaps(&other), common);
            prop_assert_eq!(other.overlaps(&one), common);
        }
    }
}
