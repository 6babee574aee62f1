//! Who has which address of a subnet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::Subnet;

/// Hands out the addresses of a subnet. Plain data: its owner stores it.
///
/// # Guarantees
/// - A key keeps its address until it is released, so a container that restarts keeps its own.
/// - No two keys have the same address, and none has the network's, the gateway's or the broadcast address.
/// - An address that was released is given out again as late as possible: peers may still remember whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocator {
    subnet: Subnet,
    last: Ipv4Addr,
    addresses: BTreeMap<String, Ipv4Addr>,
}

/// Another key has the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address {address} is that of {holder}")]
pub struct AddressTaken {
    /// The address.
    pub address: Ipv4Addr,
    /// The key that has it.
    pub holder: String,
}

/// Every address of the subnet is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every address of the subnet {0} is taken")]
pub struct NoFreeAddress(pub Subnet);

impl NoFreeAddress {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        "give the network a larger `subnet`, or spread the containers over several networks"
    }
}

impl Allocator {
    /// With no address given out.
    pub fn new(subnet: Subnet) -> Self {
        Self { subnet, last: subnet.gateway(), addresses: BTreeMap::new() }
    }

    /// The subnet that the addresses are of.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The address that no key gets because the bridge has it.
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.gateway()
    }

    /// The address of this key; one is given to it if it has none, or one that is `reserved` for others.
    ///
    /// # Errors
    /// The key has none and all are taken.
    pub fn allocate(&mut self, key: &str, reserved: &BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr, NoFreeAddress> {
        if let Some(address) = self.addresses.get(key).filter(|address| !reserved.contains(address)) {
            return Ok(*address);
        }
        let address = self.next_free(reserved).ok_or(NoFreeAddress(self.subnet))?;
        self.last = address;
        self.addresses.insert(key.to_owned(), address);
        Ok(address)
    }

    /// Gives this key an address that was chosen for it.
    ///
    /// # Errors
    /// Another key has it.
    pub fn assign(&mut self, key: &str, address: Ipv4Addr) -> Result<(), AddressTaken> {
        if let Some((holder, _)) = self.iter().find(|(holder, held)| *holder != key && *held == address) {
            return Err(AddressTaken { address, holder: holder.to_owned() });
        }
        self.addresses.insert(key.to_owned(), address);
        Ok(())
    }

    /// The address of this key, if it has one.
    pub fn get(&self, key: &str) -> Option<Ipv4Addr> {
        self.addresses.get(key).copied()
    }

    /// Takes the address away from this key and returns it, if it had one.
    pub fn release(&mut self, key: &str) -> Option<Ipv4Addr> {
        self.addresses.remove(key)
    }

    /// Keys with their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> {
        self.addresses.iter().map(|(key, address)| (key.as_str(), *address))
    }

    /// The free address that follows the last one given out, beginning anew after the end.
    fn next_free(&self, reserved: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        if !self.subnet.has_room() {
            return None;
        }
        let taken: BTreeSet<Ipv4Addr> = self.addresses.values().chain(reserved).copied().collect();
        let first = self.gateway().to_bits() + 1;
        let last = self.subnet.broadcast().to_bits() - 1;
        let after = self.last.to_bits().clamp(first - 1, last) + 1;
        (after..=last).chain(first..after).map(Ipv4Addr::from_bits).find(|address| !taken.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allocator(subnet: &str) -> Allocator {
        Allocator::new(subnet.parse().unwrap())
    }

    #[test]
    fn a_key_keeps_its_address_until_it_is_released() {
        let mut addresses = allocator("172.29.0.0/24");
        let web = addresses.allocate("web/web", &BTreeSet::new()).unwrap();
        assert_eq!(web, Ipv4Addr::new(172, 29, 0, 2));
        addresses.allocate("web/db", &BTreeSet::new()).unwrap();
        assert_eq!(addresses.allocate("web/web", &BTreeSet::new()).unwrap(), web);
        assert_eq!(addresses.release("web/web"), Some(web));
        assert_eq!(addresses.get("web/web"), None);
    }

    #[test]
    fn a_released_address_is_given_out_again_last() {
        let mut addresses = allocator("10.0.0.0/29");
        let first = addresses.allocate("a", &BTreeSet::new()).unwrap();
        addresses.release("a");
        let later: Vec<_> =
            (0..5).map(|n| addresses.allocate(&n.to_string(), &BTreeSet::new()).unwrap()).collect();
        assert_eq!(later.last(), Some(&first));
        assert_eq!(addresses.allocate("too many", &BTreeSet::new()), Err(NoFreeAddress(addresses.subnet())));
    }

    #[test]
    fn an_address_that_is_reserved_is_left_to_whom_it_is_for() {
        let mut addresses = allocator("10.0.0.0/29");
        let reserved = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 2)]);
        let early = addresses.allocate("early", &BTreeSet::new()).unwrap();
        assert!(reserved.contains(&early));
        let taken = addresses.assign("fixed", early).unwrap_err();
        assert_eq!(taken.holder, "early");
        // It gets another one the next time that it starts.
        let later = addresses.allocate("early", &reserved).unwrap();
        addresses.assign("fixed", early).unwrap();
        assert_eq!(addresses.get("fixed"), Some(early));
        assert_eq!(addresses.allocate("early", &reserved), Ok(later));
        assert!((0..3).all(|n| addresses.allocate(&n.to_string(), &reserved) != Ok(early)));
    }

    #[test]
    fn a_subnet_without_room_gives_nothing() {
        for subnet in ["10.0.0.0/31", "10.0.0.0/32", "255.255.255.255/32"] {
            allocator(subnet).allocate("a", &BTreeSet::new()).unwrap_err();
        }
        assert_eq!(allocator("10.0.0.0/30").allocate("a", &BTreeSet::new()), Ok(Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn it_survives_being_stored() {
        let mut addresses = allocator("10.0.0.0/29");
        addresses.allocate("a", &BTreeSet::new()).unwrap();
        let stored = serde_json::to_string(&addresses).unwrap();
        assert_eq!(serde_json::from_str::<Allocator>(&stored).unwrap(), addresses);
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice_or_reserved(steps in prop::collection::vec((0u8..20, any::<bool>()), 0..200)) {
            let mut addresses = allocator("192.168.0.0/28");
            for (key, allocate) in steps {
                let key = key.to_string();
                if allocate { let _ = addresses.allocate(&key, &BTreeSet::new()); } else { addresses.release(&key); }
                let given: Vec<_> = addresses.iter().map(|(_, address)| address).collect();
                let unique: BTreeSet<_> = given.iter().copied().collect();
                prop_assert_eq!(given.len(), unique.len());
                for address in given {
                    prop_assert!(addresses.subnet().contains(address));
                    prop_assert!(address != addresses.gateway());
                    prop_assert!(address != addresses.subnet().network());
                    prop_assert!(address != addresses.subnet().broadcast());
                }
            }
        }
    }
}
