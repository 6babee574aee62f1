//! From the text of a Compose file to a spec.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::Name;

use crate::Surroundings;
use crate::check;
use crate::error::{ImportError, Problem};
use crate::files::{self, Files};
use crate::finding::{Finding, Findings};
use crate::names::{self, Names};
use crate::network::Networks;
use crate::paths;
use crate::project::{Environment, Project, load};
use crate::service::{self, Shared, disabled};
use crate::spec::{Section, render};
use crate::variables::Lookup as _;
use crate::volume::Volumes;
use crate::yaml::{Node, Place, Value};

/// What is imported, and to where.
#[derive(Debug, Clone)]
pub struct Request {
    /// Absolute path of the Compose file, without `.` and `..`; what it refers to is found from its directory.
    pub path: String,
    /// How the file is called in findings.
    pub display: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Absolute path of the directory that the spec will be in, without `.` and `..`.
    pub directory: String,
    /// The name of the app; when absent that of the Compose project.
    pub app: Option<Name>,
}

/// A Compose file as a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The name of the app.
    pub app: Name,
    /// The spec, as TOML text.
    pub spec: String,
    /// What differs from the Compose file, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Turns a Compose file into a spec.
///
/// # Guarantees
/// - Any bytes give a result, within bounded time and memory.
/// - Whatever the file says is in the spec, or is in [`Import::findings`].
/// - What cannot be in a spec is left out of it, so that the rest is valid.
///
/// # Errors
/// The file, or one that it needs, cannot be read as what it has to be, or asks for a variable that is not set.
pub fn import(request: &Request, world: &dyn Surroundings) -> Result<Import, ImportError> {
    let mut files = Files::new(world, &request.path, &request.display);
    let mut findings = Findings::default();
    let text = files::text(request.content.clone())
        .map_err(|message| files.error(Problem::new(Place::default(), message)))?;
    let project = match load(&text, &mut files, &mut findings) {
        Ok(project) => project,
        Err(problem) => return Err(files.error(problem)),
    };
    let app = app_name(request, &project, &files, &mut findings).map_err(|problem| files.error(problem))?;
    report_overrides(request, world, &mut findings);
    let services = project.part("services");
    let mut shared = Shared {
        project: &project,
        directory: request.directory.clone(),
        names: Names::of(services.iter().map(|(name, _)| name.as_str()), &[]),
        built: built(services),
        volumes: Volumes::of(&project, &mut findings),
        networks: Networks::of(&project, &mut findings),
        ports: BTreeSet::new(),
        files,
        findings,
    };
    report_names(&mut shared);
    let sections = match sections(&mut shared) {
        Ok(sections) => sections,
        Err(problem) => return Err(shared.files.error(problem)),
    };
    let Shared { files, mut findings, .. } = shared;
    let head = [format!("Made of the Compose file {} by `homeostat import compose`.", request.display)];
    let spec = render(&head, &sections);
    for message in check::spec(&format!("{app}.toml"), &spec) {
        findings.lost(Place::default(), "(spec)", format!("the spec has to be put right by hand: {message}"));
    }
    findings.0.sort_by_key(|note| (note.place.file, note.place.line));
    Ok(Import { app, spec, findings: findings.0.into_iter().map(|note| files.finding(note)).collect() })
}

fn sections(shared: &mut Shared<'_, '_>) -> Result<Vec<Section>, Problem> {
    let project = shared.project;
    let (mut images, mut containers) = (Vec::new(), Vec::new());
    for (name, node) in project.part("services") {
        if let Some(tables) = service::lower(shared, name, node)? {
            images.extend(tables.images);
            containers.extend(tables.container);
        }
    }
    prune_dependencies(&mut containers, shared);
    let mut sections = images;
    sections.extend(containers);
    sections.extend(shared.volumes.sections(project, &mut shared.findings));
    sections.extend(shared.networks.sections(project, &mut shared.findings));
    Ok(sections)
}

/// Nothing waits for a service that is not in the spec, which is reported with that service.
fn prune_dependencies(containers: &mut [Section], shared: &Shared<'_, '_>) {
    let declared: BTreeSet<String> = containers.iter().map(|section| section.header[1].clone()).collect();
    let left_out: Vec<&str> = shared.names.all().filter(|name| !declared.contains(*name)).collect();
    for section in containers {
        for name in &left_out {
            section.remove_within("depends_on", name);
        }
    }
}

/// `--app`, else the project's name as Compose finds it.
fn app_name(
    request: &Request,
    project: &Project,
    files: &Files<'_>,
    findings: &mut Findings,
) -> Result<Name, Problem> {
    if let Some(app) = &request.app {
        return Ok(app.clone());
    }
    let environment = Environment { world: files.world, dotenv: &project.variables };
    let original = project
        .name
        .clone()
        .or_else(|| environment.get("COMPOSE_PROJECT_NAME"))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| paths::file_name(paths::parent(&request.path)).to_owned());
    let name = names::nearest(&original).filter(|name| name.as_str() != "homeostat").ok_or_else(|| {
        Problem::new(Place::default(), format!("{original:?} gives no name for the app"))
            .hint("name it with `--app`")
    })?;
    if name.as_str() != original {
        findings.note(Place::default(), "name", format!("the project {original:?} is the app `{name}`"));
    }
    Ok(name)
}

/// Compose reads an override file beside a file with one of its own names.
fn report_overrides(request: &Request, world: &dyn Surroundings, findings: &mut Findings) {
    let Some((stem, _)) = paths::file_name(&request.path).rsplit_once('.') else { return };
    if !matches!(stem, "compose" | "docker-compose") {
        return;
    }
    for extension in ["yml", "yaml"] {
        let name = format!("{stem}.override.{extension}");
        if world.exists(&paths::join(paths::parent(&request.path), &name)) {
            findings
                .lost(Place::default(), "(file)", format!("{name} stands beside the file, and is not read"))
                .hint("`docker compose config` prints both as one file");
        }
    }
}

/// The images that services build, by the reference that Compose gives them, with the service's name.
fn built(services: &[(String, Node)]) -> BTreeMap<String, String> {
    let names = Names::of(services.iter().map(|(name, _)| name.as_str()), &[]);
    let building =
        services.iter().filter(|(_, node)| node.get("build").is_some() && disabled(node).is_none());
    let tagged = building.filter_map(|(name, node)| {
        Some((node.get("image")?.text()?.to_owned(), names.get(name)?.to_owned()))
    });
    let mut built = BTreeMap::new();
    for (tag, name) in tagged {
        built.entry(tag).or_insert(name);
    }
    built
}

/// Reports services whose name is another one in the spec, and where the old one is still used.
fn report_names(shared: &mut Shared<'_, '_>) {
    let renamed: Vec<(String, String)> =
        shared.names.renamed().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
    for (from, to) in renamed {
        let Some(node) = shared.project.get("services", &from) else { continue };
        shared.findings.note(
            node.place,
            format!("services.{from}"),
            format!("is called `{to}` in the spec, also as a host name"),
        );
        report_uses(shared, &from, &to);
    }
    let aliases: Vec<(String, String, String)> = shared
        .project
        .part("services")
        .iter()
        .filter_map(|(name, node)| Some((name, node.get("container_name")?.text()?)))
        .filter(|(name, alias)| name != alias)
        .filter_map(|(name, alias)| {
            Some((name.clone(), alias.to_owned(), shared.names.get(name)?.to_owned()))
        })
        .collect();
    for (service, alias, to) in aliases {
        if shared.names.get(&alias).is_none() && service != alias && to != alias {
            report_uses(shared, &alias, &to);
        }
    }
}

/// Reports where a host name is used that is not there any more.
fn report_uses(shared: &mut Shared<'_, '_>, from: &str, to: &str) {
    for (service, node) in shared.project.part("services") {
        for key in ["environment", "command", "entrypoint"] {
            let Some(value) = node.get(key) else { continue };
            let mut places = Vec::new();
            uses(value, from, &mut places);
            for place in places {
                let message = format!("`{from}` stands here, which is `{to}` in the spec");
                shared
                    .findings
                    .lost(place, format!("services.{service}.{key}"), message)
                    .hint(format!("write `{to}` where the host is meant"));
            }
        }
    }
}

fn uses(node: &Node, name: &str, places: &mut Vec<Place>) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    match &node.value {
        Value::Scalar(text) if text.split(|c| !word(c)).any(|part| part == name) => places.push(node.place),
        Value::List(items) => items.iter().for_each(|item| uses(item, name, places)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| uses(value, name, places)),
        _ => {}
    }
}
