//! Reads what `nft -j list table` says (libnftables-json(5)).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::Value;

use super::elements::Elements;
use super::script::{LAYOUT, layout_chain};

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

/// One object; of the kinds that we do not know, none of the fields is there.
#[derive(Deserialize)]
struct Object {
    set: Option<Set>,
    map: Option<Set>,
    chain: Option<Chain>,
    rule: Option<Rule>,
}

#[derive(Deserialize)]
struct Set {
    name: String,
    #[serde(default)]
    elem: Vec<Value>,
}

#[derive(Deserialize)]
struct Chain {
    name: String,
}

#[derive(Deserialize)]
struct Rule {
    chain: String,
    comment: Option<String>,
}

/// The elements of the table, if its chains, rules, sets and maps are those of our layout. `None` calls for the table
/// to be made anew, so what we cannot read does as little harm as what somebody has changed.
pub(super) fn read(listing: &str) -> Option<Elements> {
    let listing: Listing = serde_json::from_str(listing).ok()?;
    let mut elements = Elements::default();
    let (mut sets, mut chains, mut rules) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut rule_number = 0;
    for object in listing.nftables {
        if let Some(set) = object.set.or(object.map) {
            for element in &set.elem {
                elements.add(&set.name, element_text(element)?);
            }
            sets.insert(set.name);
        } else if let Some(chain) = object.chain {
            chains.insert(chain.name);
        } else if let Some(rule) = object.rule {
            rules.insert((rule.chain, rule_number, rule.comment?));
            rule_number += 1;
        }
    }
    let ours = Layout::expected();
    (sets == ours.sets && chains == ours.chains && rules_in_order(rules) == ours.rules).then_some(elements)
}

/// What the layout's text declares.
struct Layout {
    sets: BTreeSet<String>,
    chains: BTreeSet<String>,
    rules: Vec<(String, String)>,
}

impl Layout {
    fn expected() -> Self {
        let mut layout =
            Self { sets: BTreeSet::new(), chains: BTreeSet::from([layout_chain()]), rules: Vec::new() };
        let mut chain = String::new();
        for line in LAYOUT.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("set" | "map"), Some(name)) => {
                    layout.sets.insert(name.to_owned());
                }
                (Some("chain"), Some(name)) => {
                    name.clone_into(&mut chain);
                    layout.chains.insert(name.to_owned());
                }
                _ => {
                    if let Some((_, comment)) = line.split_once(" comment \"") {
                        layout.rules.push((chain.clone(), comment.trim_end_matches('"').to_owned()));
                    }
                }
            }
        }
        layout.rules.sort_by(|one, other| one.0.cmp(&other.0));
        layout
    }
}

/// By chain; within a chain as they were listed.
fn rules_in_order(rules: BTreeSet<(String, usize, String)>) -> Vec<(String, String)> {
    rules.into_iter().map(|(chain, _, comment)| (chain, comment)).collect()
}

/// An element as a script writes it.
fn element_text(element: &Value) -> Option<String> {
    match element {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if text.parse::<Ipv4Addr>().is_ok() => Some(text.clone()),
        Value::String(text) => Some(format!("\"{text}\"")),
        Value::Array(pair) => match pair.as_slice() {
            [key, value] => Some(format!("{} : {}", element_text(key)?, element_text(value)?)),
            _ => None,
        },
        Value::Object(object) => {
            if let Some(prefix) = object.get("prefix") {
                return Some(format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?.as_u64()?));
            }
            let parts = object.get("concat")?.as_array()?;
            let parts: Option<Vec<String>> = parts.iter().map(element_text).collect();
            Some(parts?.join(" . "))
        }
        Value::Null | Value::Bool(_) => None,
    }
}
