//! The Compose files as one tree: each read for itself, then one merged on top of the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Problem;
use crate::files::Files;
use crate::finding::Findings;
use crate::load::Loader;
use crate::merge::{as_map, merge, settle};
use crate::service::disabled;
use crate::variables::Lookup;
use crate::yaml::{Node, Place, Value};

/// The most resources of one part.
const MOST: usize = 1000;
/// The parts of a Compose file that hold resources by name.
pub(crate) const PARTS: [&str; 5] = ["services", "volumes", "networks", "secrets", "configs"];

/// A Compose file as one tree.
pub(crate) struct Project {
    /// Value of `name`.
    pub(crate) name: Option<String>,
    parts: BTreeMap<&'static str, Vec<(String, Node)>>,
    /// Variables of `.env` beside the file, under those of the environment.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Project {
    /// The resources of a part, by name.
    pub(crate) fn part(&self, part: &str) -> &[(String, Node)] {
        self.parts.get(part).map_or(&[], Vec::as_slice)
    }

    /// One resource of a part.
    pub(crate) fn get(&self, part: &str, name: &str) -> Option<&Node> {
        self.part(part).iter().find(|(other, _)| other == name).map(|(_, node)| node)
    }
}

/// Variables of the environment win over those of `.env`.
pub(crate) struct Environment<'a> {
    pub(crate) world: &'a dyn crate::Surroundings,
    pub(crate) dotenv: &'a BTreeMap<String, String>,
}

impl Lookup for Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.world.variable(name).or_else(|| self.dotenv.get(name).cloned())
    }
}

/// Reads the project that these texts make, each with the number of its file, the later ones on top.
pub(crate) fn load(
    texts: &[(usize, String)],
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Result<Project, Problem> {
    let mut loader = Loader::new(files, findings);
    let mut root = Node::new(Place::default(), Value::Null);
    let mut variables = BTreeMap::new();
    for (file, text) in texts {
        let document = loader.document(text, *file)?;
        root = merge("", root, document.root);
        variables = document.variables;
    }
    loader.report_unset();
    settle(&mut root);
    report_unknown_parts(&root, findings);
    let project = Project::of(&root, variables)?;
    refuse_cycles(project.part("services"))?;
    Ok(project)
}

impl Project {
    fn of(root: &Node, variables: BTreeMap<String, String>) -> Result<Self, Problem> {
        let mut parts = BTreeMap::new();
        for part in PARTS {
            let resources = root.get(part).map(|node| node.entries().to_vec()).unwrap_or_default();
            if let Some((name, node)) = resources.get(MOST) {
                return Err(Problem::new(node.place, format!("`{name}` is one of more than {MOST} {part}")));
            }
            parts.insert(part, resources);
        }
        if parts["services"].is_empty() {
            let message = "the file declares no services, so it is no Compose file";
            return Err(
                Problem::new(root.place, message).hint("a Compose file has its containers under `services:`")
            );
        }
        Ok(Self { name: root.get("name").and_then(Node::text).map(str::to_owned), parts, variables })
    }
}

fn report_unknown_parts(root: &Node, findings: &mut Findings) {
    for (key, node) in root.entries() {
        let known = PARTS.contains(&key.as_str()) || matches!(key.as_str(), "version" | "name" | "include");
        if !known && !key.starts_with("x-") {
            findings.lost(node.place, key, "a spec has nothing like this");
        }
    }
}

/// Services that wait for each other never start, under Compose either.
fn refuse_cycles(services: &[(String, Node)]) -> Result<(), Problem> {
    let started = services.iter().filter(|(_, node)| disabled(node).is_none());
    let mut waiting: BTreeMap<&str, (Place, BTreeSet<String>)> =
        started.map(|(name, node)| (name.as_str(), (node.place, waits_for(node)))).collect();
    loop {
        let names: BTreeSet<String> = waiting.keys().map(|name| (*name).to_owned()).collect();
        let before = waiting.len();
        waiting.retain(|_, (_, on)| on.iter().any(|other| names.contains(other)));
        if waiting.is_empty() {
            return Ok(());
        }
        if waiting.len() == before {
            break;
        }
    }
    let names = waiting.keys().copied().collect::<Vec<_>>().join(", ");
    let place = waiting.values().next().map(|(place, _)| *place).unwrap_or_default();
    Err(Problem::new(place, format!("services wait for each other in a circle, or for such ones: {names}"))
        .hint("take one of the dependencies out"))
}

/// The services that one has in `depends_on` and `links`.
fn waits_for(service: &Node) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Some(node) = service.get("depends_on") {
        names.extend(as_map("depends_on", node.clone()).entries().iter().map(|(name, _)| name.clone()));
    }
    for link in service.get("links").map_or(&[][..], Node::items) {
        let name = link.text().unwrap_or_default();
        names.insert(name.split(':').next().unwrap_or(name).to_owned());
    }
    names
}
