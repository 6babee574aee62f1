//! The elements of the table's sets and maps.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::Protocol;

use super::DesiredRules;

/// By name of the set or map, its elements as a script writes them: `"hs0"`, `80 : 172.29.0.2 . 8080`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Elements(pub(super) BTreeMap<String, BTreeSet<String>>);

impl Elements {
    /// What the sets and maps of `layout.nft` are to hold.
    pub(super) fn of(desired: &DesiredRules) -> Self {
        let mut elements = Self::default();
        for (bridge, rules) in &desired.bridges {
            elements.add("bridges", format!("\"{bridge}\""));
            elements.add("same_bridge", format!("\"{bridge}\" . \"{bridge}\""));
            elements.add("own_subnet", format!("\"{bridge}\" . {}", rules.subnet));
            if rules.internal {
                elements.add("internal", format!("\"{bridge}\""));
            }
        }
        for (port, container) in &desired.published {
            let target = format!("{} . {}", container.ip(), container.port());
            let map = match (port.address, port.protocol) {
                (None, Protocol::Tcp) => "tcp_anywhere",
                (None, Protocol::Udp) => "udp_anywhere",
                (Some(_), Protocol::Tcp) => "tcp_at",
                (Some(_), Protocol::Udp) => "udp_at",
            };
            let key = port.address.map(|address| format!("{address} . ")).unwrap_or_default();
            elements.add(map, format!("{key}{} : {target}", port.port));
        }
        elements
    }

    pub(super) fn add(&mut self, set: &str, element: String) {
        self.0.entry(set.to_owned()).or_default().insert(element);
    }

    /// UDP ports of the host whose publication differs from that in the other; every one without another.
    pub(super) fn changed_udp_ports(&self, other: Option<&Self>) -> BTreeSet<u16> {
        let nothing = Self::default();
        let other = other.unwrap_or(&nothing);
        let changed = [self.without(other), other.without(self)];
        changed
            .iter()
            .flat_map(|elements| &elements.0)
            .filter(|(set, _)| set.starts_with("udp_"))
            .flat_map(|(_, elements)| elements)
            .filter_map(|element| element.split(" : ").next()?.rsplit(" . ").next()?.parse().ok())
            .collect()
    }

    /// What this has and the other lacks, by set; sets without any are left out.
    pub(super) fn without(&self, other: &Self) -> Self {
        let nothing = BTreeSet::new();
        Self(
            self.0
                .iter()
                .map(|(set, elements)| {
                    let others = other.0.get(set).unwrap_or(&nothing);
                    (set.clone(), elements.difference(others).cloned().collect::<BTreeSet<_>>())
                })
                .filter(|(_, elements)| !elements.is_empty())
                .collect(),
        )
    }
}
