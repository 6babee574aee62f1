//! From the Compose file to one tree: variables replaced, `include` and `extends` resolved.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Problem;
use crate::files::Files;
use crate::finding::Findings;
use crate::merge::{as_map, merge};
use crate::paths;
use crate::service::disabled;
use crate::variables::{Interpolation, Lookup};
use crate::yaml::{Node, Place, Value, compose};

/// How many services can extend one another, and files include one another.
const DEEPEST: usize = 16;
/// The most resources of one part.
const MOST: usize = 1000;
/// The parts of a Compose file that hold resources by name.
const PARTS: [&str; 5] = ["services", "volumes", "networks", "secrets", "configs"];

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

/// Reads the project whose first file has this text.
pub(crate) fn load(text: &str, files: &mut Files<'_>, findings: &mut Findings) -> Result<Project, Problem> {
    let mut loader = Loader { files, findings, unset: BTreeMap::new() };
    let (mut root, variables) = loader.document(text, 0)?;
    loader.include(&mut root, 0)?;
    loader.report_unset();
    report_unknown_parts(&root, findings);
    let mut parts = BTreeMap::new();
    for part in PARTS {
        let resources = root.get(part).map(|node| node.entries().to_vec()).unwrap_or_default();
        parts.insert(part, resources);
    }
    if parts["services"].is_empty() {
        let message = "the file declares no services, so it is no Compose file";
        return Err(
            Problem::new(root.place, message).hint("a Compose file has its containers under `services:`")
        );
    }
    let mut project =
        Project { name: root.get("name").and_then(Node::text).map(str::to_owned), parts, variables };
    for part in PARTS {
        if let Some((name, node)) = project.part(part).get(MOST) {
            return Err(Problem::new(node.place, format!("`{name}` is one of more than {MOST} {part}")));
        }
    }
    extend_all(&mut project, files, findings)?;
    refuse_cycles(project.part("services"))?;
    Ok(project)
}

fn report_unknown_parts(root: &Node, findings: &mut Findings) {
    for (key, node) in root.entries() {
        let known = PARTS.contains(&key.as_str()) || matches!(key.as_str(), "version" | "name" | "include");
        if !known && !key.starts_with("x-") {
            findings.lost(node.place, key, "a spec has nothing like this");
        }
    }
}

struct Loader<'f, 'a> {
    files: &'f mut Files<'a>,
    findings: &'f mut Findings,
    unset: BTreeMap<String, Place>,
}

impl Loader<'_, '_> {
    /// A file as a tree whose variables are replaced, with the variables of `.env` beside it.
    fn document(&mut self, text: &str, file: usize) -> Result<(Node, BTreeMap<String, String>), Problem> {
        let place = Place { file, line: 1 };
        let root = compose(text, file, &mut self.files.budget)?;
        let mut root = root.ok_or_else(|| Problem::new(place, "the file is empty"))?;
        if !matches!(root.value, Value::Map(_)) {
            return Err(Problem::new(root.place, "a Compose file is a mapping, which this is not"));
        }
        let path = paths::join(&self.files.directory(place), ".env");
        let nothing = BTreeMap::new();
        let outer = Environment { world: self.files.world, dotenv: &nothing };
        let dotenv = self.files.variables(&path, place, &outer, false)?.unwrap_or_default();
        let dotenv: BTreeMap<_, _> = dotenv.into_iter().collect();
        let environment = Environment { world: self.files.world, dotenv: &dotenv };
        let mut interpolation =
            Interpolation { variables: &environment, budget: &mut self.files.budget, unset: &mut self.unset };
        interpolate(&mut root, &mut interpolation)?;
        Ok((root, dotenv))
    }

    /// Adds what the files of `include` declare.
    fn include(&mut self, root: &mut Node, depth: usize) -> Result<(), Problem> {
        let Some(include) = root.get("include").cloned() else { return Ok(()) };
        if depth >= DEEPEST {
            return Err(Problem::new(include.place, "files include each other too deep, or in a circle"));
        }
        let items = if matches!(include.value, Value::List(_)) {
            include.items()
        } else {
            std::slice::from_ref(&include)
        };
        for item in items {
            for key in ["project_directory", "env_file"] {
                if let Some(node) = item.get(key) {
                    self.findings.lost(
                        node.place,
                        format!("include.{key}"),
                        "included files are read from their own directory, with the `.env` there",
                    );
                }
            }
            let path = item.get("path").unwrap_or(item);
            let paths =
                if matches!(path.value, Value::List(_)) { path.items() } else { std::slice::from_ref(path) };
            for path in paths {
                self.include_file(root, path, depth)?;
            }
        }
        Ok(())
    }

    fn include_file(&mut self, root: &mut Node, path: &Node, depth: usize) -> Result<(), Problem> {
        let Some(text) = path.text() else {
            return Err(Problem::new(path.place, "`include` takes paths of files"));
        };
        let (file, text) = read_required(self.files, text, path.place)?;
        let (mut included, _) = self.document(&text, file)?;
        self.include(&mut included, depth + 1)?;
        let Value::Map(entries) = included.value else { return Ok(()) };
        for (part, node) in entries.into_iter().filter(|(part, _)| PARTS.contains(&part.as_str())) {
            add_part(root, part, node)?;
        }
        Ok(())
    }

    fn report_unset(&mut self) {
        for (name, place) in std::mem::take(&mut self.unset) {
            let message = "the variable is not set; an empty text stands in its place";
            self.findings
                .lost(place, format!("${{{name}}}"), message)
                .hint("set it in `.env` beside the file or in the environment, and import again");
        }
    }
}

fn read_required(files: &mut Files<'_>, path: &str, from: Place) -> Result<(usize, String), Problem> {
    let path = paths::join(&files.directory(from), path);
    files.read(&path, from)?.ok_or_else(|| Problem::new(from, format!("{path} is not there")))
}

/// Adds included resources to a part. What the including file declares itself wins.
fn add_part(root: &mut Node, part: String, node: Node) -> Result<(), Problem> {
    let Value::Map(entries) = &mut root.value else { return Ok(()) };
    let Some((_, own)) = entries.iter_mut().find(|(name, _)| *name == part) else {
        entries.push((part, node));
        return Ok(());
    };
    let (Value::Map(own), Value::Map(included)) = (&mut own.value, node.value) else { return Ok(()) };
    for (name, resource) in included {
        if own.iter().any(|(other, _)| *other == name) {
            let message = format!("{part}.{name} is declared here and in a file that is included");
            return Err(Problem::new(resource.place, message).hint("rename one of them"));
        }
        own.push((name, resource));
    }
    Ok(())
}

fn interpolate(node: &mut Node, interpolation: &mut Interpolation<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Null => Ok(()),
        Value::Scalar(text) => {
            if text.contains('$') {
                *text = interpolation.text(text, node.place)?;
            }
            Ok(())
        }
        Value::List(items) => items.iter_mut().try_for_each(|item| interpolate(item, interpolation)),
        Value::Map(entries) => {
            entries.iter_mut().try_for_each(|(_, value)| interpolate(value, interpolation))
        }
    }
}

/// Replaces every service by what it is with what it extends.
fn extend_all(project: &mut Project, files: &mut Files<'_>, findings: &mut Findings) -> Result<(), Problem> {
    let services = project.parts.get("services").cloned().unwrap_or_default();
    let mut extended = Vec::new();
    for (name, service) in &services {
        extended.push((name.clone(), extend(service.clone(), &services, files, findings, 0)?));
    }
    project.parts.insert("services", extended);
    Ok(())
}

fn extend(
    mut service: Node,
    siblings: &[(String, Node)],
    files: &mut Files<'_>,
    findings: &mut Findings,
    depth: usize,
) -> Result<Node, Problem> {
    let Some(extends) = service.get("extends").cloned() else { return Ok(service) };
    if depth >= DEEPEST {
        return Err(Problem::new(extends.place, "services extend each other too deep, or in a circle"));
    }
    if let Value::Map(entries) = &mut service.value {
        entries.retain(|(key, _)| key != "extends");
    }
    let name = extends.get("service").unwrap_or(&extends).text().unwrap_or_default().to_owned();
    let missing = || Problem::new(extends.place, format!("there is no service {name:?} to extend"));
    let find = |services: &[(String, Node)]| {
        services.iter().find(|(other, _)| *other == name).map(|(_, node)| node.clone()).ok_or_else(missing)
    };
    let base = match extends.get("file").and_then(Node::text) {
        None => extend(find(siblings)?, siblings, files, findings, depth + 1)?,
        Some(path) => {
            let (file, text) = read_required(files, path, extends.place)?;
            let mut loader = Loader { files, findings, unset: BTreeMap::new() };
            let (root, _) = loader.document(&text, file)?;
            loader.report_unset();
            let others = root.get("services").map(|node| node.entries().to_vec()).unwrap_or_default();
            extend(find(&others)?, &others, files, findings, depth + 1)?
        }
    };
    files.budget.spend(base.size(), extends.place)?;
    Ok(merge("", base, service))
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
