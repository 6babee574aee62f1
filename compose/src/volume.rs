//! Named volumes: `[volume.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::adopt::Adoption;
use crate::check;
use crate::finding::Findings;
use crate::merge::as_map;
use crate::names::Names;
use crate::project::Project;
use crate::spec::{Section, Toml};
use crate::yaml::Node;

/// The volumes of a project.
pub(crate) struct Volumes {
    pub(crate) names: Names,
    /// Volumes that Compose makes as a bind mount of a path of the host, with the path.
    pub(crate) bound: BTreeMap<String, String>,
    /// Names in the spec, of what containers mount; the others are not declared.
    pub(crate) used: BTreeSet<String>,
}

impl Volumes {
    pub(crate) fn of(project: &Project, adoption: Option<&Adoption>, findings: &mut Findings) -> Self {
        let declared = project.part("volumes");
        let names = Names::of(declared.iter().map(|(name, _)| name.as_str()), &[]);
        for (from, to) in names.renamed() {
            if let Some(node) = project.get("volumes", from) {
                findings.note(node.place, format!("volumes.{from}"), format!("is called `{to}` in the spec"));
            }
        }
        // What is taken over mounts it as the volume that it is.
        let apart = declared.iter().filter(|_| adoption.is_none());
        let bound = apart.filter_map(|(name, node)| Some((name.clone(), bound_path(node)?))).collect();
        Self { names, bound, used: BTreeSet::new() }
    }

    /// The tables of the volumes that are used.
    pub(crate) fn sections(
        &self,
        project: &Project,
        adoption: Option<&Adoption>,
        findings: &mut Findings,
    ) -> Vec<Section> {
        let mut sections = Vec::new();
        let mut written = BTreeSet::new();
        for (original, node) in project.part("volumes") {
            if self.bound.contains_key(original) {
                continue;
            }
            let Some(name) = self.names.get(original) else { continue };
            let mut section = Section::new("volume", name);
            if let Some(adoption) = adoption {
                section.set("adopt", adoption.resource(original, Some(node)));
            }
            declared(original, node, &mut section, adoption.is_some(), findings);
            written.insert(name.to_owned());
            sections.push(section);
        }
        sections.extend(self.used.difference(&written).map(|name| Section::new("volume", name)));
        sections
    }
}

/// The path of a `local` volume that is nothing but a bind mount.
fn bound_path(node: &Node) -> Option<String> {
    let options = node.get("driver_opts")?;
    let text = |key| options.get(key).and_then(Node::text).unwrap_or_default();
    let bind =
        text("o").split(',').any(|option| option == "bind") && matches!(text("type"), "none" | "bind" | "");
    (bind && text("device").starts_with('/')).then(|| text("device").to_owned())
}

fn declared(original: &str, node: &Node, section: &mut Section, is_adopted: bool, findings: &mut Findings) {
    for (key, value) in
        node.entries().iter().filter(|(key, value)| !value.is_empty() && !key.starts_with("x-"))
    {
        let path = format!("volumes.{original}.{key}");
        match key.as_str() {
            "labels" => set_labels("volume", value, &path, section, findings),
            "driver" if value.text() == Some("local") => {}
            "external" if is_adopted => {
                findings.note(value.place, path, "the volume that was made elsewhere is taken over");
            }
            "name" if is_adopted => {}
            "driver" | "driver_opts" if is_adopted => {
                findings.note(
                    value.place,
                    path,
                    "the volume is taken over with it; one that is made anew would be without",
                );
            }
            "external" => {
                findings
                    .lost(
                        value.place,
                        path,
                        "the volume is one that was made elsewhere; the spec declares a new one",
                    )
                    .hint("copy its content into the new volume before the first start");
            }
            "name" => {
                findings.note(
                    value.place,
                    path,
                    "the engine's name of a volume is made of those of the app and the volume",
                );
            }
            _ => {
                findings
                    .lost(value.place, path, "volumes of a spec are local directories without options")
                    .hint(
                        "mount the file system on the host, and name its path in `volumes` of the container",
                    );
            }
        }
    }
}

/// Sets `labels` to those that a spec can have.
pub(crate) fn set_labels(
    kind: &str,
    node: &Node,
    path: &str,
    section: &mut Section,
    findings: &mut Findings,
) {
    let mut labels = Vec::new();
    for (key, value) in as_map("labels", node.clone()).entries() {
        let text = Toml::text(value.text().unwrap_or_default());
        let one = Toml::Table(vec![(key.clone(), text.clone())]);
        let checked = if kind == "container" {
            check::container("labels", &one)
        } else {
            check::resource(kind, "labels", &one)
        };
        match checked {
            Ok(()) => labels.push((key.clone(), text)),
            Err(message) => {
                findings.lost(value.place, format!("{path}.{key}"), message);
            }
        }
    }
    if !labels.is_empty() {
        section.set("labels", Toml::Table(labels));
    }
}
