//! One service as `[container.NAME]`. A file per group of keys.

mod dependencies;
mod environment;
mod health;
mod image;
mod kernel;
mod limits;
mod lists;
mod mounts;
mod ports;
mod process;
mod shape;
mod unsupported;

use std::collections::{BTreeMap, BTreeSet};

use crate::adopt::Adoption;
use crate::check;
use crate::error::Problem;
use crate::files::Files;
use crate::finding::{Findings, Note};
use crate::names::Names;
use crate::network::Networks;
use crate::project::Project;
use crate::spec::{Section, Toml};
use crate::volume::{Volumes, set_labels};
use crate::yaml::{Node, Place};

/// What all services of a project share while they are made containers of.
pub(crate) struct Shared<'p, 'f> {
    pub(crate) project: &'p Project,
    pub(crate) files: Files<'f>,
    pub(crate) findings: Findings,
    /// Absolute path of the directory that the spec is for.
    pub(crate) directory: String,
    /// Names of services.
    pub(crate) names: Names,
    /// Images that services build, by the reference that Compose gives them.
    pub(crate) built: BTreeMap<String, String>,
    pub(crate) volumes: Volumes,
    pub(crate) networks: Networks,
    /// The running project that is taken over, if one is.
    pub(crate) adoption: Option<Adoption>,
    /// Ports of the host that are taken, with protocol and address.
    pub(crate) ports: BTreeSet<(String, u16, String)>,
}

/// The tables that a service becomes.
pub(crate) struct Tables {
    pub(crate) images: Vec<Section>,
    pub(crate) container: Vec<Section>,
}

/// One service on its way.
pub(crate) struct Service<'s, 'p, 'f> {
    shared: &'s mut Shared<'p, 'f>,
    /// Its name in the Compose file.
    original: &'p str,
    node: &'p Node,
    container: Section,
    /// `env`, `labels` and `health`, which have tables of their own.
    tables: Vec<Section>,
    images: Vec<Section>,
}

/// The tables of a service; nothing when it has no image that a spec can name.
///
/// # Errors
/// A file that it refers to cannot be read as what it has to be.
pub(crate) fn lower<'p>(
    shared: &mut Shared<'p, '_>,
    original: &'p str,
    node: &'p Node,
) -> Result<Option<Tables>, Problem> {
    let name = shared.names.get(original).unwrap_or_default().to_owned();
    let container = Section::new("container", &name);
    let mut service = Service { shared, original, node, container, tables: Vec::new(), images: Vec::new() };
    service.shape();
    service.disable();
    if !service.image() {
        return Ok(None);
    }
    service.adopt();
    service.process();
    service.environment()?;
    service.network();
    service.ports();
    service.mounts();
    service.restart();
    service.dependencies();
    service.health();
    service.security();
    service.kernel();
    service.lists();
    service.limits();
    service.labels();
    service.unsupported();
    let Service { container, tables, images, .. } = service;
    let disabled = container.disabled;
    let mut sections = vec![container];
    sections.extend(tables.into_iter().map(|table| table.disabled_if(disabled)));
    let comment = |image: Section| {
        let disabled = disabled || image.disabled;
        image.disabled_if(disabled)
    };
    let images = images.into_iter().map(comment).collect();
    Ok(Some(Tables { images, container: sections }))
}

/// Why a service is not started by `docker compose up`, if so.
pub(crate) fn disabled(node: &Node) -> Option<(&Node, &'static str)> {
    if let Some(profiles) = node.get("profiles").filter(|profiles| !profiles.is_empty()) {
        return Some((profiles, "profiles"));
    }
    let replicas = node.get("scale").or_else(|| node.get("deploy").and_then(|deploy| deploy.get("replicas")));
    replicas.filter(|replicas| replicas.text() == Some("0")).map(|replicas| (replicas, "replicas"))
}

impl<'p> Service<'_, 'p, '_> {
    fn get(&self, key: &str) -> Option<&'p Node> {
        self.node.get(key)
    }

    fn name(&self) -> &str {
        &self.container.header[1]
    }

    fn path(&self, key: &str) -> String {
        format!("services.{}.{key}", self.original)
    }

    fn lost(&mut self, place: Place, key: &str, message: impl Into<String>) -> &mut Note {
        let path = self.path(key);
        self.shared.findings.lost(place, path, message)
    }

    fn note(&mut self, place: Place, key: &str, message: impl Into<String>) -> &mut Note {
        let path = self.path(key);
        self.shared.findings.note(place, path, message)
    }

    /// Sets a key of the container if a spec can have the value, and reports it if not.
    fn set(&mut self, key: &str, value: Toml, from: &Node, compose_key: &str) -> bool {
        match check::container(key, &value) {
            Ok(()) => {
                self.container.set(key, value);
                true
            }
            Err(message) => {
                self.lost(from.place, compose_key, message);
                false
            }
        }
    }

    /// The container that Compose made of the service is taken over.
    fn adopt(&mut self) {
        let Some(adoption) = &self.shared.adoption else { return };
        let names = adoption.container(self.original, self.node);
        let node = self.node;
        self.set("adopt", names, node, "container_name");
    }

    /// A service that Compose does not start is written as a comment.
    fn disable(&mut self) {
        let Some((node, key)) = disabled(self.node) else { return };
        self.container.disabled = true;
        let message = if key == "profiles" {
            let profiles: Vec<_> = node.items().iter().filter_map(Node::text).collect();
            self.container.comments.push(format!("Only with the Compose profile {}.", profiles.join(", ")));
            "a spec has no profiles: the container stands in it as a comment"
        } else {
            self.container.comments.push("Compose runs none of it.".to_owned());
            "no container is wanted: it stands in the spec as a comment"
        };
        self.lost(node.place, key, message).hint("take the `#` away to have it");
    }

    fn network(&mut self) {
        let node = self.node;
        let Some(mode) = node.get("network_mode") else {
            let Shared { networks, findings, .. } = &mut *self.shared;
            networks.of_service(self.original, node, &mut self.container, findings);
            return;
        };
        if let Some(word @ ("host" | "none" | "bridge")) = mode.text() {
            self.container.set("network", Toml::text(word));
        } else {
            self.container.set("network", Toml::text("none"));
            self.lost(mode.place, "network_mode", "a container cannot share another one's network; it has none, so that nothing gets out another way")
                    .hint("give it a network if that may be");
        }
    }

    fn labels(&mut self) {
        let Some(labels) = self.get("labels") else { return };
        let mut table = self.table("labels");
        let mut holder = Section::default();
        set_labels("container", labels, &self.path("labels"), &mut holder, &mut self.shared.findings);
        if let Some(Toml::Table(entries)) = holder.get("labels") {
            for (key, value) in entries {
                table.set(key, value.clone());
            }
            self.tables.push(table);
        }
    }

    /// A table of its own for a key of the container.
    fn table(&self, key: &str) -> Section {
        let mut header = self.container.header.clone();
        header.push(key.to_owned());
        Section::with_header(header)
    }
}
