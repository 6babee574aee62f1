//! What the kernel gives a service: `group_add`, `ulimits`, `sysctls`, `shm_size`.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::units;
use crate::yaml::Node;

impl Service<'_, '_, '_> {
    pub(super) fn kernel(&mut self) {
        let groups = self.get("group_add").map_or(&[][..], Node::items);
        let mut kept = Vec::new();
        for group in groups {
            let one = Toml::texts([group.text().unwrap_or_default().to_owned()]);
            match check::container("group_add", &one) {
                Ok(()) => kept.push(group.text().unwrap_or_default().to_owned()),
                Err(message) => {
                    self.lost(group.place, "group_add", message);
                }
            }
        }
        if !kept.is_empty() {
            self.container.set("group_add", Toml::texts(kept));
        }
        self.entries("ulimits", ulimit);
        self.entries("sysctls", |value| value.text().map(str::to_owned));
        if let Some(node) = self.get("shm_size") {
            if let Some(size) = units::memory(node.text().unwrap_or_default()) {
                self.set("shm_size", Toml::text(size), node, "shm_size");
            } else {
                self.lost(node.place, "shm_size", "it is no size");
            }
        }
    }

    /// A table whose values are texts; a list has them as `KEY=VALUE`.
    fn entries(&mut self, key: &str, value_of: impl Fn(&Node) -> Option<String>) {
        let Some(node) = self.get(key) else { return };
        let listed = node.items().iter().filter_map(|item| {
            let (name, value) = item.text()?.split_once('=')?;
            Some((name.to_owned(), Some(value.to_owned()), item))
        });
        let mapped = node.entries().iter().map(|(name, value)| (name.clone(), value_of(value), value));
        let on_host = self.container.get("network") == Some(&Toml::text("host"));
        let mut table = Vec::new();
        for (name, value, place) in listed.chain(mapped) {
            if on_host && name.starts_with("net.") {
                self.lost(place.place, &format!("{key}.{name}"), "it is the host's with the host's network");
                continue;
            }
            let value = Toml::text(value.unwrap_or_default());
            match check::container(key, &Toml::Table(vec![(name.clone(), value.clone())])) {
                Ok(()) => table.push((name, value)),
                Err(message) => {
                    self.lost(place.place, &format!("{key}.{name}"), message);
                }
            }
        }
        if !table.is_empty() {
            self.container.set(key, Toml::Table(table));
        }
    }
}

/// A number, or the soft and the hard limit.
fn ulimit(value: &Node) -> Option<String> {
    if let Some(text) = value.text() {
        return Some(text.to_owned());
    }
    let limit = |key: &str| value.get(key).and_then(Node::text);
    Some(format!("{}:{}", limit("soft")?, limit("hard")?))
}
