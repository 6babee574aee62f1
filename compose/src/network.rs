//! Networks: which one of the spec a service is on, and `[network.NAME]`.
//!
//! A container of a spec is on one network. Where a service is on several of the project, these become one in the
//! spec: what could reach each other still can, which is worth more than the isolation that is lost (and reported).
//! Where networks are taken over they stay apart: what is on one of them can be taken over with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::adopt::Adoption;
use crate::check;
use crate::finding::Findings;
use crate::names::Names;
use crate::project::Project;
use crate::spec::{Section, Toml};
use crate::volume::set_labels;
use crate::yaml::{Node, Value};

/// What cannot be the name of a network.
const RESERVED: [&str; 3] = ["bridge", "host", "none"];
/// The network of services that name none.
const DEFAULT: &str = "default";

/// The networks of a project.
pub(crate) struct Networks {
    names: Names,
    /// Networks that were made elsewhere.
    external: BTreeSet<String>,
    /// For each network of the project, the one that it is part of in the spec.
    joined: BTreeMap<String, String>,
    pub(crate) used: BTreeSet<String>,
}

impl Networks {
    pub(crate) fn of(project: &Project, adoption: Option<&Adoption>, findings: &mut Findings) -> Self {
        let declared = project.part("networks");
        let originals: Vec<&str> = declared.iter().map(|(name, _)| name.as_str()).chain([DEFAULT]).collect();
        let names = Names::of(originals.iter().copied(), &RESERVED);
        for (from, to) in names.renamed() {
            if let Some(node) = project.get("networks", from) {
                findings.note(
                    node.place,
                    format!("networks.{from}"),
                    format!("is called `{to}` in the spec"),
                );
            }
        }
        // One that is taken over is a network of the app like any.
        let is_external = |node: &Node| {
            adoption.is_none() && node.get("external").is_some_and(|external| !external.is_empty())
        };
        let external =
            declared.iter().filter(|(_, node)| is_external(node)).map(|(name, _)| name.clone()).collect();
        let joined = originals.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
        let mut networks = Self { names, external, joined, used: BTreeSet::new() };
        for (name, service) in project.part("services") {
            if adoption.is_some() {
                report_further(name, service, findings);
            } else {
                networks.join(name, service, findings);
            }
        }
        networks
    }

    /// Makes the networks of one service one.
    fn join(&mut self, service: &str, node: &Node, findings: &mut Findings) {
        let own: Vec<String> =
            memberships(node).into_iter().filter(|name| !self.external.contains(name)).collect();
        let Some(first) = own.first().and_then(|name| self.joined.get(name).cloned()) else { return };
        for name in &own[1..] {
            let Some(old) = self.joined.get(name).cloned().filter(|old| *old != first) else { continue };
            for network in self.joined.values_mut().filter(|network| **network == old) {
                network.clone_from(&first);
            }
            let place = node.get("networks").map_or(node.place, |networks| networks.place);
            let message = format!(
                "a container is on one network: `{old}` and `{first}` become one, so that all that could reach each other still can"
            );
            findings.lost(place, format!("services.{service}.networks"), message);
        }
    }

    /// The value of `network` of a service that has no `network_mode`.
    pub(crate) fn of_service(&mut self, service: &str, node: &Node, findings: &mut Findings) -> String {
        let memberships = memberships(node);
        let path = format!("services.{service}.networks");
        let place = node.get("networks").map_or(node.place, |networks| networks.place);
        let own = memberships.iter().find(|name| !self.external.contains(*name));
        for external in memberships.iter().filter(|name| self.external.contains(*name)) {
            let message = if own.is_some() {
                "the container is not on this network, which is not one of the app"
            } else {
                "networks are not shared between apps: the container is on the bridge that all apps share"
            };
            findings
                .lost(place, format!("{path}.{external}"), message)
                .hint("what has to be reached from other apps can be published with `ports`");
        }
        let Some(own) = own else { return "bridge".to_owned() };
        let Some(joined) = self.joined.get(own) else {
            findings.lost(place, format!("{path}.{own}"), "the file declares no such network");
            return "bridge".to_owned();
        };
        let name = self.names.get(joined).unwrap_or(DEFAULT).to_owned();
        self.used.insert(name.clone());
        name
    }

    /// The tables of the networks that are used.
    pub(crate) fn sections(
        &self,
        project: &Project,
        adoption: Option<&Adoption>,
        findings: &mut Findings,
    ) -> Vec<Section> {
        let mut sections = Vec::new();
        for name in &self.used {
            let mut section = Section::new("network", name);
            let parts: Vec<&str> = self
                .joined
                .iter()
                .filter(|(_, joined)| self.names.get(joined) == Some(name))
                .map(|(part, _)| part.as_str())
                .collect();
            if parts.len() > 1 {
                section.comments.push(format!("The Compose file has these apart: {}.", parts.join(", ")));
            }
            let nodes: Vec<(&str, Option<&Node>)> =
                parts.iter().map(|part| (*part, project.get("networks", part))).collect();
            let internal = |node: &Node| node.get("internal").is_some_and(Node::is_true);
            if nodes.iter().all(|(_, node)| node.is_some_and(internal)) {
                section.set("internal", Toml::truth(true));
            }
            for (part, node) in nodes {
                if let Some(adoption) = adoption {
                    section.set("adopt", adoption.resource(part, node));
                }
                if let Some(node) = node {
                    declared(part, node, &mut section, adoption.is_some(), findings);
                }
            }
            sections.push(section);
        }
        sections
    }
}

/// The networks that a service is on by its `networks`.
fn memberships(node: &Node) -> Vec<String> {
    let Some(networks) = node.get("networks").filter(|networks| !networks.is_empty()) else {
        return if node.get("network_mode").is_some() { Vec::new() } else { vec![DEFAULT.to_owned()] };
    };
    match &networks.value {
        Value::List(items) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        _ => networks.entries().iter().map(|(name, _)| name.clone()).collect(),
    }
}

/// Reports the networks of a service that its container is not on.
fn report_further(service: &str, node: &Node, findings: &mut Findings) {
    let memberships = memberships(node);
    let [first, further @ ..] = memberships.as_slice() else { return };
    if let (Some(networks), false) = (node.get("networks"), further.is_empty()) {
        let message = format!(
            "a container is on one network, here `{first}`, and not on `{}`: one that runs on several is not taken over",
            further.join("`, `")
        );
        findings
            .lost(networks.place, format!("services.{service}.networks"), message)
            .hint("leave the container on one network first, or take `adopt` away to have a new one");
    }
}

fn declared(original: &str, node: &Node, section: &mut Section, is_adopted: bool, findings: &mut Findings) {
    for (key, value) in
        node.entries().iter().filter(|(key, value)| !value.is_empty() && !key.starts_with("x-"))
    {
        let path = format!("networks.{original}.{key}");
        match key.as_str() {
            "internal" => {
                if section.get("internal").is_none() {
                    findings.lost(
                        value.place,
                        path,
                        "the network that it is part of in the spec has a way out",
                    );
                }
            }
            "labels" if section.get("labels").is_none() => {
                set_labels("network", value, &path, section, findings);
            }
            "driver" if matches!(value.text(), Some("bridge" | "default")) => {}
            "attachable" => {}
            "name" if is_adopted => {}
            "external" if is_adopted => {
                findings
                    .note(value.place, path, "the network that was made elsewhere is taken over")
                    .hint("once no app declares it, it is removed unless others are on it");
            }
            "name" => {
                findings.note(
                    value.place,
                    path,
                    "the engine's name of a network is made of those of the app and the network",
                );
            }
            "ipam" => subnet(value, &path, section, findings),
            "enable_ipv6" => {
                findings.lost(value.place, path, "networks are IPv4");
            }
            _ => {
                findings.lost(
                    value.place,
                    path,
                    "networks of a spec are bridges with a subnet and nothing else",
                );
            }
        }
    }
}

fn subnet(ipam: &Node, path: &str, section: &mut Section, findings: &mut Findings) {
    for (key, value) in
        ipam.entries().iter().filter(|(key, value)| key != "config" && value.text() != Some("default"))
    {
        findings.lost(value.place, format!("{path}.{key}"), "a network has a subnet and nothing else");
    }
    for (index, config) in ipam.get("config").map_or(&[][..], Node::items).iter().enumerate() {
        for (key, value) in config.entries() {
            let path = format!("{path}.config[{index}].{key}");
            let subnet = value.text().filter(|_| key == "subnet" && section.get("subnet").is_none());
            let Some(subnet) = subnet else {
                findings.lost(value.place, path, "a network has one IPv4 subnet and nothing else");
                continue;
            };
            match check::resource("network", "subnet", &Toml::text(subnet)) {
                Ok(()) => section.set("subnet", Toml::text(subnet)),
                Err(message) => {
                    findings.lost(value.place, path, message);
                }
            }
        }
    }
}
