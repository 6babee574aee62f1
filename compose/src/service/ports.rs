//! `ports`, in both syntaxes.

use super::Service;
use crate::check;
use crate::spec::Toml;
use crate::yaml::Node;

/// The most ports of one range.
const MOST: usize = 1000;

/// An entry of `ports`, in parts.
struct Entry {
    address: String,
    published: String,
    target: String,
    protocol: String,
}

impl Service<'_, '_, '_> {
    pub(super) fn ports(&mut self) {
        let items = self.get("ports").map_or(&[][..], Node::items);
        if let (Some(first), Some(Toml::Text(network))) = (items.first(), self.container.get("network"))
            && matches!(network.as_str(), "host" | "none")
        {
            let message = format!("ports cannot be published with `network = {network:?}`");
            self.lost(first.place, "ports", message);
            return;
        }
        let mut ports = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = format!("ports[{index}]");
            let entry = match item.text() {
                Some(text) => Some(short(text)),
                None => self.long(item, &key),
            };
            match entry
                .ok_or_else(|| "it names no port of the container".to_owned())
                .and_then(|entry| expand(&entry))
            {
                Ok(expanded) => {
                    for port in expanded {
                        self.publish(port, item, &key, &mut ports);
                    }
                }
                Err(message) => {
                    self.lost(item.place, &key, message);
                }
            }
        }
        if !ports.is_empty() {
            self.container.set("ports", Toml::texts(ports));
        }
    }

    /// Adds a port if a spec can have it and it is not taken.
    fn publish(&mut self, (text, claim): Port, item: &Node, key: &str, ports: &mut Vec<String>) {
        if let Err(message) = check::container("ports", &Toml::texts([text.clone()])) {
            self.lost(item.place, key, message);
            return;
        }
        let Some(claim) = claim else { return ports.push(text) };
        let (protocol, number, address) = &claim;
        let taken = self.shared.ports.iter().any(|(other_protocol, other, other_address)| {
            other == number
                && other_protocol == protocol
                && (address.is_empty() || other_address.is_empty() || other_address == address)
        });
        if taken {
            if !ports.contains(&text) {
                self.lost(
                    item.place,
                    key,
                    format!("the host's {protocol} port {number} is published already"),
                );
            }
            return;
        }
        if !self.container.disabled {
            self.shared.ports.insert(claim);
        }
        ports.push(text);
    }

    fn long(&mut self, item: &Node, key: &str) -> Option<Entry> {
        for (option, value) in item.entries() {
            let known = matches!(
                option.as_str(),
                "target" | "published" | "host_ip" | "protocol" | "name" | "app_protocol" | "mode"
            );
            if !known {
                self.lost(
                    value.place,
                    &format!("{key}.{option}"),
                    "a port has an address, two numbers and a protocol",
                );
            }
        }
        let text = |key: &str| item.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        let protocol = if text("protocol").is_empty() { "tcp".to_owned() } else { text("protocol") };
        let entry = Entry {
            address: text("host_ip"),
            published: text("published"),
            target: text("target"),
            protocol,
        };
        (!entry.target.is_empty()).then_some(entry)
    }
}

/// `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`.
fn short(text: &str) -> Entry {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, target) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, published) = rest.rsplit_once(':').unwrap_or(("", rest));
    Entry {
        address: address.to_owned(),
        published: published.to_owned(),
        target: target.to_owned(),
        protocol: protocol.to_ascii_lowercase(),
    }
}

/// An entry of a spec, with what it claims of the host: nothing where the engine chooses.
type Port = (String, Option<(String, u16, String)>);

/// The entries of a spec for one of Compose.
fn expand(entry: &Entry) -> Result<Vec<Port>, String> {
    let target = range(&entry.target)?;
    let address = if entry.address == "0.0.0.0" { "" } else { entry.address.as_str() };
    let prefix = if address.is_empty() { String::new() } else { format!("{address}:") };
    let suffix = if entry.protocol == "tcp" { String::new() } else { format!("/{}", entry.protocol) };
    if matches!(entry.published.as_str(), "" | "0") {
        let prefix = if address.is_empty() { String::new() } else { format!("{address}::") };
        return Ok(vec![(format!("{prefix}{}{suffix}", entry.target), None)]);
    }
    let published = range(&entry.published)?;
    if published.len() != target.len() {
        // For one port of the container, any of the range that is free; else the rules of specs say what is wrong.
        return Ok(vec![(format!("{prefix}{}:{}{suffix}", entry.published, entry.target), None)]);
    }
    let port = |(host, container): (u16, u16)| {
        let claim = (entry.protocol.clone(), host, address.to_owned());
        (format!("{prefix}{host}:{container}{suffix}"), Some(claim))
    };
    Ok(published.into_iter().zip(target).map(port).collect())
}

fn range(text: &str) -> Result<Vec<u16>, String> {
    let bad = || format!("{text:?} is no port, and no range of ports");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = first.trim().parse().map_err(|_| bad())?;
    let last: u16 = last.trim().parse().map_err(|_| bad())?;
    if last < first {
        return Err(bad());
    }
    if usize::from(last - first) >= MOST {
        return Err(format!("more than {MOST} ports in one range are too many to list"));
    }
    Ok((first..=last).collect())
}
