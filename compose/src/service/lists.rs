//! Keys with a list of texts that are carried over as they are: `devices`, and what names mean to a service.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::yaml::Node;

/// Keys of Compose with those of a spec.
const KEYS: [(&str, &str); 5] = [
    ("devices", "devices"),
    ("extra_hosts", "extra_hosts"),
    ("dns", "dns"),
    ("dns_search", "dns_search"),
    ("dns_opt", "dns_options"),
];

impl Service<'_, '_, '_> {
    pub(super) fn lists(&mut self) {
        for (from, to) in KEYS {
            let Some(node) = self.get(from) else { continue };
            let mut kept = Vec::new();
            for (text, place) in texts(node) {
                match check::container(to, &Toml::texts([text.clone()])) {
                    Ok(()) => kept.push(text),
                    Err(message) => {
                        self.lost(place.place, from, message);
                    }
                }
            }
            if !kept.is_empty() {
                self.set(to, Toml::texts(kept), node, from);
            }
        }
    }
}

/// One text, a list of them, or a mapping of names to an address or several.
fn texts(node: &Node) -> Vec<(String, &Node)> {
    let text = |node: &Node| node.text().unwrap_or_default().to_owned();
    if node.text().is_some() {
        return vec![(text(node), node)];
    }
    let mut all: Vec<_> = node.items().iter().map(|item| (text(item), item)).collect();
    for (name, value) in node.entries() {
        let addresses = if value.text().is_some() { std::slice::from_ref(value) } else { value.items() };
        all.extend(addresses.iter().map(|address| (format!("{name}:{}", text(address)), value)));
    }
    all
}
