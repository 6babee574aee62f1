//! Networks: which ones of the spec a service is on, and `[network.NAME]`.

use std::collections::BTreeSet;

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
    /// Networks that the project has.
    declared: BTreeSet<String>,
    /// Those that have a subnet.
    with_subnet: BTreeSet<String>,
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
        let declared = originals.iter().map(|name| (*name).to_owned()).collect();
        let has_subnet = |node: &Node| {
            let ipam = node.get("ipam").and_then(|ipam| ipam.get("config"));
            ipam.map_or(&[][..], Node::items).iter().any(|config| config.get("subnet").is_some())
        };
        let with_subnet = project.part("networks").iter().filter(|(_, node)| has_subnet(node));
        let with_subnet = with_subnet.map(|(name, _)| name.clone()).collect();
        Self { names, external, declared, with_subnet, used: BTreeSet::new() }
    }

    /// Sets `network` or `networks` of a service that has no `network_mode`.
    pub(crate) fn of_service(
        &mut self,
        service: &str,
        node: &Node,
        container: &mut Section,
        findings: &mut Findings,
    ) {
        let path = format!("services.{service}.networks");
        let place = node.get("networks").map_or(node.place, |networks| networks.place);
        let memberships = memberships(node);
        let (own, external): (Vec<_>, Vec<_>) =
            memberships.into_iter().partition(|(name, _)| !self.external.contains(name));
        for (external, _) in &external {
            let message = if own.is_empty() {
                "networks are not shared between apps: the container is on the bridge that all apps share"
            } else {
                "the container is not on this network, which is not one of the app"
            };
            findings
                .lost(place, format!("{path}.{external}"), message)
                .hint("what has to be reached from other apps can be published with `ports`");
        }
        let mut networks = Vec::new();
        for (original, options) in own {
            if !self.declared.contains(&original) {
                findings.lost(place, format!("{path}.{original}"), "the file declares no such network");
                continue;
            }
            let name = self.names.get(&original).unwrap_or(DEFAULT).to_owned();
            self.used.insert(name.clone());
            let options = options.map_or_else(Vec::new, |node| {
                let own = container.header.last().map_or("", String::as_str);
                let has_subnet = self.with_subnet.contains(&original);
                endpoint((own, has_subnet), node, &format!("{path}.{original}"), findings)
            });
            networks.push((name, Toml::Table(options)));
        }
        match networks.as_slice() {
            [] => container.set("network", Toml::text("bridge")),
            [(name, Toml::Table(options))] if options.is_empty() => {
                container.set("network", Toml::text(name.as_str()));
            }
            _ => container.set("networks", Toml::Table(networks)),
        }
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
            let original = self.declared.iter().find(|original| self.names.get(original) == Some(name));
            let Some(original) = original else { continue };
            let node = project.get("networks", original);
            if let Some(adoption) = adoption {
                section.set("adopt", adoption.resource(original, node));
            }
            if let Some(node) = node {
                declared(original, node, &mut section, adoption.is_some(), findings);
            }
            sections.push(section);
        }
        sections
    }
}

/// The networks that a service is on by its `networks`, with what is said of it there.
fn memberships(node: &Node) -> Vec<(String, Option<&Node>)> {
    let Some(networks) = node.get("networks").filter(|networks| !networks.is_empty()) else {
        let default = node.get("network_mode").is_none().then(|| (DEFAULT.to_owned(), None));
        return default.into_iter().collect();
    };
    match &networks.value {
        Value::List(items) => items.iter().filter_map(|item| Some((item.text()?.to_owned(), None))).collect(),
        _ => networks.entries().iter().map(|(name, options)| (name.clone(), Some(options))).collect(),
    }
}

/// What is said of a service on one of its networks.
fn endpoint(
    (container, has_subnet): (&str, bool),
    options: &Node,
    path: &str,
    findings: &mut Findings,
) -> Vec<(String, Toml)> {
    let mut endpoint = Vec::new();
    for (key, value) in options.entries().iter().filter(|(_, value)| !value.is_empty()) {
        let path = format!("{path}.{key}");
        match (key.as_str(), value.text()) {
            ("aliases", _) => {
                let aliases = value.items().iter().filter_map(Node::text).filter(|alias| *alias != container);
                let aliases: Vec<Toml> = aliases.map(Toml::text).collect();
                if !aliases.is_empty() {
                    endpoint.push(("aliases".to_owned(), Toml::List(aliases)));
                }
            }
            ("ipv4_address", Some(address)) if has_subnet => {
                endpoint.push(("address".to_owned(), Toml::text(address)));
            }
            _ => {
                let message = "of a container on a network a spec says its aliases and its IPv4 address";
                findings.lost(value.place, path, message);
            }
        }
    }
    endpoint
}

fn declared(original: &str, node: &Node, section: &mut Section, is_adopted: bool, findings: &mut Findings) {
    for (key, value) in
        node.entries().iter().filter(|(key, value)| !value.is_empty() && !key.starts_with("x-"))
    {
        let path = format!("networks.{original}.{key}");
        match key.as_str() {
            "internal" => {
                if value.is_true() {
                    section.set("internal", Toml::truth(true));
                }
            }
            "labels" => {
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
