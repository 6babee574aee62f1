//! Merging a file with the one below it, and a service with the one it extends, by the merge rules of the Compose
//! specification.

use std::collections::BTreeMap;

use crate::yaml::{Node, Tag, Value};

/// Keys whose list replaces the other one.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];
/// Keys that have a list or a map of the same meaning.
const LIST_OR_MAP: [&str; 9] = [
    "environment",
    "labels",
    "args",
    "sysctls",
    "extra_hosts",
    "annotations",
    "additional_contexts",
    "depends_on",
    "networks",
];
/// Keys that have one value or a list of them.
const ONE_OR_LIST: [&str; 6] = ["env_file", "label_file", "tmpfs", "dns", "dns_search", "dns_opt"];

/// `over` on top of `base`: maps by key, lists one after the other, anything else replaced. What `over` takes away
/// stays in the result as such, for what lies below `base`: see [`settle`].
pub(crate) fn merge(key: &str, base: Node, over: Node) -> Node {
    if over.tag != Tag::Merge || base.tag == Tag::Reset {
        return over;
    }
    let (place, tag) = (over.place, base.tag);
    let (base, over) = (in_one_form(key, base), in_one_form(key, over));
    let value = match (base.value, over.value) {
        // Nothing written is nothing to merge.
        (base @ (Value::Map(_) | Value::List(_)), Value::Null) => base,
        (Value::Map(base), Value::Map(over)) if is_other_driver(key, &base, &over) => Value::Map(over),
        (Value::Map(base), Value::Map(over)) => Value::Map(merge_maps(base, over)),
        (Value::List(base), Value::List(over)) if !REPLACED.contains(&key) => {
            Value::List(append(key, base, over))
        }
        (_, over) => over,
    };
    Node { place, value, tag }
}

/// Takes out what is said to be nothing.
pub(crate) fn settle(node: &mut Node) {
    let stays = |node: &Node| node.tag != Tag::Reset;
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(items) => {
            items.retain(stays);
            items.iter_mut().for_each(settle);
        }
        Value::Map(entries) => {
            entries.retain(|(_, node)| stays(node));
            for (_, node) in entries {
                settle(node);
            }
        }
    }
}

/// Where a key can be written in two ways, the one that can be merged.
fn in_one_form(key: &str, node: Node) -> Node {
    match (&node.value, key) {
        (Value::List(_), key) if LIST_OR_MAP.contains(&key) => as_map(key, node),
        (Value::Scalar(_), key) if ONE_OR_LIST.contains(&key) => {
            Node { tag: node.tag, ..Node::new(node.place, Value::List(vec![node])) }
        }
        (Value::Scalar(_), "build") => {
            let (place, tag) = (node.place, node.tag);
            let context = vec![("context".to_owned(), Node::new(place, node.value))];
            Node { place, tag, value: Value::Map(context) }
        }
        _ => node,
    }
}

/// The options of one log driver mean nothing to another one.
fn is_other_driver(key: &str, base: &[(String, Node)], over: &[(String, Node)]) -> bool {
    let driver = |entries: &[(String, Node)]| {
        let entry = entries.iter().find(|(name, _)| name == "driver");
        entry.and_then(|(_, node)| node.text().map(str::to_owned))
    };
    key == "logging"
        && match (driver(base), driver(over)) {
            (Some(base), Some(over)) => base != over,
            _ => false,
        }
}

fn merge_maps(mut base: Vec<(String, Node)>, over: Vec<(String, Node)>) -> Vec<(String, Node)> {
    for (key, node) in over {
        match base.iter_mut().find(|(name, _)| *name == key) {
            Some((_, slot)) => {
                let below = std::mem::replace(slot, Node::new(node.place, Value::Null));
                *slot = merge(&key, below, node);
            }
            None => base.push((key, node)),
        }
    }
    base
}

/// The items of both. What has the same identity stands there once, as the later one says.
fn append(key: &str, base: Vec<Node>, over: Vec<Node>) -> Vec<Node> {
    let mut items: Vec<Node> = Vec::with_capacity(base.len() + over.len());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for item in base.into_iter().chain(over) {
        let identity = identity(key, &item);
        if let Some(index) = identity.as_ref().and_then(|identity| known.get(identity)) {
            items[*index] = item;
        } else {
            known.extend(identity.map(|identity| (identity, items.len())));
            items.push(item);
        }
    }
    items
}

/// What makes an item of a list another one: its place in the container for what is mounted, its file, itself.
fn identity(key: &str, item: &Node) -> Option<String> {
    let field = |name: &str| item.get(name).and_then(Node::text);
    let text = item.text();
    let mounted = |folder: &str, target: Option<&str>, source: Option<&str>| {
        let target = target.or(source)?;
        Some(if target.starts_with('/') { target.to_owned() } else { format!("{folder}/{target}") })
    };
    match key {
        "volumes" => {
            let of_text = |text: &str| text.split(':').nth(1).unwrap_or(text).to_owned();
            text.map(of_text).or_else(|| field("target").map(str::to_owned))
        }
        "tmpfs" => text.map(|text| text.split(':').next().unwrap_or(text).to_owned()),
        "secrets" => mounted("/run/secrets", field("target"), text.or_else(|| field("source"))),
        "configs" => mounted("", field("target"), text.or_else(|| field("source"))),
        "env_file" => text.or_else(|| field("path")).map(str::to_owned),
        "ports" => text.map(str::to_owned).or_else(|| port(item)),
        _ => text.map(str::to_owned),
    }
}

/// A port in the long syntax as it is in the short one.
fn port(item: &Node) -> Option<String> {
    let field = |name: &str| item.get(name).and_then(Node::text).unwrap_or_default();
    let target = item.get("target")?.text()?;
    let parts = [field("host_ip"), field("published"), target];
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":");
    Some(match field("protocol") {
        "" | "tcp" => text,
        protocol => format!("{text}/{protocol}"),
    })
}

/// A list of `NAME=VALUE` (or of names) as the map that it stands for.
pub(crate) fn as_map(key: &str, node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let separator = if key == "extra_hosts" { [':', '='] } else { ['=', '='] };
    let mut entries: Vec<(String, Node)> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let Node { place, tag, .. } = item;
        let Some(text) = item.text() else { continue };
        let (name, value) = match text.split_once(separator) {
            Some((name, value)) => (name.to_owned(), Value::Scalar(value.to_owned())),
            None => (text.to_owned(), Value::Null),
        };
        let entry = (name.clone(), Node { place, value, tag });
        if let Some(index) = known.get(&name) {
            entries[*index] = entry;
        } else {
            known.insert(name, entries.len());
            entries.push(entry);
        }
    }
    Node { place: node.place, value: Value::Map(entries), tag: node.tag }
}
