//! What two containers or networks of one host cannot both have.
//!
//! A collision is an error of every file that takes part in it: which of them was there first is not known
//! here, so what runs of either is left alone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::compile::Unit;
use crate::problem::Problem;
use crate::scalar::Subnet;
use crate::{DesiredState, Protocol};

/// Reports collisions within and between files.
pub(crate) fn check(units: &mut [Unit]) {
    check_names(units);
    check_ports(units);
    check_subnets(units);
}

/// Where something is claimed: the file by index, and the path within it.
#[derive(Clone)]
struct Claim {
    unit: usize,
    path: Vec<String>,
}

impl Claim {
    fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// `FILE:LINE`.
    fn place(&self, units: &[Unit]) -> String {
        units[self.unit].document.place(&self.path())
    }

    fn report(&self, units: &mut [Unit], problem: Problem) {
        let path = self.path();
        units[self.unit].document.error_at(&path, problem);
    }
}

/// Two files cannot have one app name.
fn check_names(units: &mut [Unit]) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..units.len() {
        let Some(name) = units[index].name.as_ref().map(ToString::to_string) else { continue };
        if let Some(other) = first.get(&name).copied() {
            for (one, another) in [(index, other), (other, index)] {
                let message = format!("the app `{name}` is also declared in {:?}", units[another].path);
                let problem = Problem::new(message).hint("rename one of the files, or merge them");
                units[one].document.error(None, problem);
            }
        } else {
            first.insert(name, index);
        }
    }
}

/// The claims on one port of the host.
#[derive(Default)]
struct PortClaims {
    on_every_address: Option<Claim>,
    by_address: BTreeMap<Ipv4Addr, Claim>,
}

impl PortClaims {
    fn conflicting(&self, ip: Option<Ipv4Addr>) -> Option<&Claim> {
        let on_address = match ip {
            Some(ip) => self.by_address.get(&ip),
            None => self.by_address.values().next(),
        };
        self.on_every_address.as_ref().or(on_address)
    }
}

fn check_ports(units: &mut [Unit]) {
    let mut claims: BTreeMap<(Protocol, u16), PortClaims> = BTreeMap::new();
    for (ip, port, claim) in port_claims(units) {
        let others = claims.entry(port).or_default();
        if let Some(other) = others.conflicting(ip).cloned() {
            let (protocol, number) = port;
            for (one, another) in [(&claim, &other), (&other, &claim)] {
                let message = format!("the host's {protocol} port {number} is published twice");
                let hint = format!("the other place is {}", another.place(units));
                one.report(units, Problem::new(message).hint(hint));
            }
        } else if let Some(ip) = ip {
            others.by_address.insert(ip, claim);
        } else {
            others.on_every_address = Some(claim);
        }
    }
}

/// Every port that a container publishes at some time; one that is only created never does.
fn port_claims(units: &[Unit]) -> Vec<(Option<Ipv4Addr>, (Protocol, u16), Claim)> {
    let mut claims = Vec::new();
    for (unit, source) in units.iter().enumerate() {
        for (name, table) in source.file.container.iter() {
            if table.state == Some(DesiredState::Created) || table.publishes_too_many() {
                continue;
            }
            for (index, range) in table.ports.iter() {
                let path =
                    ["container", name.as_str(), "ports", &index.to_string()].map(str::to_owned).to_vec();
                for port in range.0.ports().filter(|port| !port.is_chosen()) {
                    let claim = Claim { unit, path: path.clone() };
                    claims.push((port.host_ip, (port.protocol, port.host_port), claim));
                }
            }
        }
    }
    claims
}

fn check_subnets(units: &mut [Unit]) {
    let mut claims: Vec<(Subnet, Claim)> = Vec::new();
    for (unit, source) in units.iter().enumerate() {
        for (name, table) in source.file.network.iter() {
            if let Some(subnet) = &table.subnet {
                let path = ["network", name.as_str(), "subnet"].map(str::to_owned).to_vec();
                claims.push((subnet.0, Claim { unit, path }));
            }
        }
    }
    // Two subnets either nest or are apart: in this order every subnet follows the ones it is within.
    claims.sort_by_key(|(subnet, _)| *subnet);
    let mut widest: Option<&(Subnet, Claim)> = None;
    for claim in &claims {
        let Some(other) = widest.filter(|other| other.0.overlaps(claim.0)) else {
            widest = Some(claim);
            continue;
        };
        for (one, another) in [(claim, other), (other, claim)] {
            let message = format!("the subnet {} overlaps with {}", one.0, another.0);
            let hint = format!("the other one is at {}", another.1.place(units));
            one.1.report(units, Problem::new(message).hint(hint));
        }
    }
}
