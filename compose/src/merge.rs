//! Merging a service with the one it extends, by the merge rules of the Compose specification.

use crate::yaml::{Node, Value};

/// Keys whose list replaces the other one.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];
/// Keys that have a list or a map of the same meaning.
const LIST_OR_MAP: [&str; 7] =
    ["environment", "labels", "args", "sysctls", "extra_hosts", "annotations", "depends_on"];

/// `over` on top of `base`: maps by key, lists one after the other, anything else replaced.
pub(crate) fn merge(key: &str, base: Node, over: Node) -> Node {
    let place = over.place;
    let (base, over) =
        if LIST_OR_MAP.contains(&key) { (as_map(key, base), as_map(key, over)) } else { (base, over) };
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(merge_maps(base, over)),
        (Value::List(base), Value::List(over)) if !REPLACED.contains(&key) => Value::List(append(base, over)),
        (_, over) => over,
    };
    Node { place, value }
}

fn merge_maps(mut base: Vec<(String, Node)>, over: Vec<(String, Node)>) -> Vec<(String, Node)> {
    for (key, node) in over {
        match base.iter_mut().find(|(name, _)| *name == key) {
            Some((_, slot)) => {
                let below = std::mem::replace(slot, Node { place: node.place, value: Value::Null });
                *slot = merge(&key, below, node);
            }
            None => base.push((key, node)),
        }
    }
    base
}

/// The items of both, without those that stand in both, and with the later of two mounts at one target.
fn append(base: Vec<Node>, over: Vec<Node>) -> Vec<Node> {
    let identity = |node: &Node| match node.text() {
        Some(text) => {
            text.split(':').nth(1).filter(|target| target.starts_with('/')).unwrap_or(text).to_owned()
        }
        None => node
            .get("target")
            .and_then(Node::text)
            .filter(|text| text.starts_with('/'))
            .unwrap_or_default()
            .to_owned(),
    };
    let replaced: std::collections::BTreeSet<String> =
        over.iter().map(identity).filter(|text| !text.is_empty()).collect();
    base.into_iter().filter(|node| !replaced.contains(&identity(node))).chain(over).collect()
}

/// A list of `NAME=VALUE` (or of names) as the map that it stands for.
pub(crate) fn as_map(key: &str, node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let separator = if key == "extra_hosts" { [':', '='] } else { ['=', '='] };
    let mut entries: Vec<(String, Node)> = Vec::new();
    for item in items {
        let place = item.place;
        let Some(text) = item.text() else { continue };
        let (name, value) = match text.split_once(separator) {
            Some((name, value)) => (name.to_owned(), Value::Scalar(value.to_owned())),
            None => (text.to_owned(), Value::Null),
        };
        entries.retain(|(other, _)| *other != name);
        entries.push((name, Node { place, value }));
    }
    Node { place: node.place, value: Value::Map(entries) }
}
