//! IPv4 subnets in CIDR notation (RFC 4632).

use std::net::Ipv4Addr;

use super::Scalar;
use crate::problem::Problem;

/// A subnet for a bridge network. The order is by address, a wider one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subnet {
    network: u32,
    prefix: u8,
}

impl Subnet {
    /// Whether a container can have this address: it is in the subnet, and is not its first, its last, or the gateway's.
    pub(crate) fn has_room_at(self, address: Ipv4Addr) -> bool {
        let (first, last) = (self.network, self.network | !mask(self.prefix));
        (first + 2..last).contains(&address.to_bits())
    }

    /// Whether some address is in both.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.network & mask == other.network & mask
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.network), self.prefix)
    }
}

impl Scalar for Subnet {
    const FORMAT: &'static str = "subnet";
    const EXAMPLES: &'static [&'static str] = &["10.88.1.0/24"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let bad = || Problem::new(format!("{text:?} is no IPv4 subnet")).hint("write it as `10.88.1.0/24`");
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(bad)?;
        if !(8..=30).contains(&prefix) {
            return Err(Problem::new(format!("a subnet of /{prefix} is no use for containers"))
                .hint("the prefix can be /8 to /30: a gateway and at least one container have to fit"));
        }
        let subnet = Self { network: address.to_bits() & mask(prefix), prefix };
        if subnet.network != address.to_bits() {
            return Err(Problem::new(format!("{text:?} is an address within a subnet"))
                .hint(format!("the subnet is `{subnet}`")));
        }
        if address.is_loopback()
            || address.is_multicast()
            || address.octets()[0] == 0
            || address.octets()[0] >= 240
        {
            return Err(
                Problem::new(format!("{text:?} is reserved")).hint("use a private range, as `10.88.1.0/24`")
            );
        }
        Ok(subnet)
    }
}

impl Scalar for Ipv4Addr {
    const FORMAT: &'static str = "address";
    const EXAMPLES: &'static [&'static str] = &["10.88.1.20"];

    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| {
            Problem::new(format!("{text:?} is no IPv4 address")).hint("write it as `10.88.1.20`")
        })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX << (32 - u32::from(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_mutual_and_by_the_shorter_prefix() {
        let [a, b, c] =
            ["10.0.0.0/8", "10.88.1.0/24", "10.88.2.0/24"].map(|text| Subnet::parse(text).unwrap());
        assert!(a.overlaps(b) && b.overlaps(a) && !b.overlaps(c));
    }
}
