//! Scripts for `nft -f` (nft(8)); each is one transaction.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::elements::Elements;
use crate::InterfaceName;

/// Chains, rules, and empty sets.
pub(super) const LAYOUT: &str = include_str!("layout.nft");

/// Name of an empty chain that tells which layout the table has.
pub(super) fn layout_chain() -> String {
    let digest = Sha256::digest(LAYOUT.as_bytes());
    format!("layout_{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

/// Removes what differs, then adds what differs: an element whose key stays is first taken away.
pub(super) fn update(table: &InterfaceName, current: &Elements, wanted: &Elements) -> String {
    let mut script = String::new();
    append(&mut script, "delete", table, &current.without(wanted));
    append(&mut script, "add", table, &wanted.without(current));
    script
}

/// Makes the table anew, whether there is one or not.
pub(super) fn replace(table: &InterfaceName, wanted: &Elements) -> String {
    let mut script = remove(table);
    let chain = layout_chain();
    let _ = write!(script, "table ip {table} {{\n{LAYOUT}  chain {chain} {{ }}\n}}\n");
    append(&mut script, "add", table, wanted);
    script
}

/// Removes the table, whether there is one or not: deleting one that does not exist would fail.
pub(super) fn remove(table: &InterfaceName) -> String {
    format!("add table ip {table}\ndelete table ip {table}\n")
}

fn append(script: &mut String, verb: &str, table: &InterfaceName, elements: &Elements) {
    for (set, elements) in &elements.0 {
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        let _ = writeln!(script, "{verb} element ip {table} {set} {{ {} }}", elements.join(", "));
    }
}
