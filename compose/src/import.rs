//! From the text of a Compose file to a spec.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::Name;

use crate::Surroundings;
use crate::adopt::Adoption;
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

/// Names of the file that `docker compose` reads where it is told of none.
const FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the file that it merges with it, in its order.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is imported, and to where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Compose files, at least one. Each is merged on top of those before it; what they refer to is found from the
    /// directory of the first. The override file beside it is merged too, where Compose would and it is the only one.
    pub files: Vec<ComposeFile>,
    /// Absolute path of the directory that the spec will be in, without `.` and `..`.
    pub directory: String,
    /// The name of the app; when absent that of the Compose project.
    pub app: Option<Name>,
    /// Whether the spec takes over what Compose made of the files.
    pub adopt: bool,
}

/// A Compose file.
#[derive(Debug, Clone)]
pub struct ComposeFile {
    /// Absolute path, without `.` and `..`.
    pub path: String,
    /// How it is called in findings.
    pub display: String,
    /// Its content.
    pub content: Vec<u8>,
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
    let mut files = Files::new(world);
    let mut findings = Findings::default();
    let project = texts(request, &mut files, &mut findings)
        .and_then(|texts| load(&texts, &mut files, &mut findings))
        .map_err(|problem| files.error(problem))?;
    let compose_name = project_name(request, &project, world);
    let app = app_name(request, &compose_name, &mut findings).map_err(|problem| files.error(problem))?;
    let adoption = request.adopt.then(|| Adoption::of(&compose_name));
    let services = project.part("services");
    let mut shared = Shared {
        project: &project,
        directory: request.directory.clone(),
        names: Names::of(services.iter().map(|(name, _)| name.as_str()), &[]),
        built: built(services),
        volumes: Volumes::of(&project, adoption.as_ref(), &mut findings),
        networks: Networks::of(&project, adoption.as_ref(), &mut findings),
        adoption,
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
    let names: Vec<&str> = request.files.iter().map(|file| file.display.as_str()).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let head =
        [format!("Made of the Compose file{plural} {} by `homeostat import compose`.", names.join(", "))];
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
    sections.extend(shared.volumes.sections(project, shared.adoption.as_ref(), &mut shared.findings));
    sections.extend(shared.networks.sections(project, shared.adoption.as_ref(), &mut shared.findings));
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

/// The texts of the files of a request, each with its number, and that of an override file.
fn texts(
    request: &Request,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Result<Vec<(usize, String)>, Problem> {
    let first = request.files.first().map(|file| file.path.as_str()).unwrap_or_default();
    let directory = paths::parent(first);
    let mut texts = Vec::new();
    for given in &request.files {
        let file = files.add(directory, &given.display);
        let text = files::text(given.content.clone())
            .map_err(|message| Problem::new(Place { file, line: 1 }, message))?;
        texts.push((file, text));
    }
    if request.files.len() == 1 && FILES.contains(&paths::file_name(first)) {
        texts.extend(override_file(directory, files, findings)?);
    }
    Ok(texts)
}

/// The first override file that is in a directory: `docker compose` merges it where it is told of no files.
fn override_file(
    directory: &str,
    files: &mut Files<'_>,
    findings: &mut Findings,
) -> Result<Option<(usize, String)>, Problem> {
    for name in OVERRIDES {
        if let Some(found) = files.read(&paths::join(directory, name), Place::default())? {
            findings.note(
                Place::default(),
                "(file)",
                format!("{name} stands beside the file and is merged with it"),
            );
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The project's name as Compose finds it, but for what Compose lets no project be called.
fn project_name(request: &Request, project: &Project, world: &dyn Surroundings) -> String {
    let environment = Environment { world, dotenv: &project.variables };
    let directory = request.files.first().map(|file| paths::file_name(paths::parent(&file.path)));
    environment
        .get("COMPOSE_PROJECT_NAME")
        .filter(|name| !name.is_empty())
        .or_else(|| project.name.clone().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| directory.unwrap_or_default().to_owned())
}

/// `--app`, else the project's name.
fn app_name(request: &Request, project: &str, findings: &mut Findings) -> Result<Name, Problem> {
    if let Some(app) = &request.app {
        return Ok(app.clone());
    }
    let name = names::nearest(project).filter(|name| name.as_str() != "homeostat").ok_or_else(|| {
        Problem::new(Place::default(), format!("{project:?} gives no name for the app"))
            .hint("name it with `--app`")
    })?;
    if name.as_str() != project {
        findings.note(Place::default(), "name", format!("the project {project:?} is the app `{name}`"));
    }
    Ok(name)
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
