//! From the text of the spec files to [`App`]s.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Document, expand, parse};
use crate::file::AppFile;
use crate::lower::{Declared, lower};
use crate::policy::{self, Policy};
use crate::problem::Problem;
use crate::scalar::Scalar;
use crate::{App, Diagnostic, Name, PrunePolicy, Severity, Tree, collisions, schema, structure};

/// One spec file as it is in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFile {
    /// Path within the source, as `web.toml`.
    pub path: String,
    /// The bytes of the file.
    pub content: Vec<u8>,
}

/// The node that specs are compiled for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Variables of the host; they win over those of `homeostat.toml`.
    pub variables: BTreeMap<String, String>,
}

/// The result of [`compile()`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The valid apps.
    pub apps: BTreeMap<Name, App>,
    /// Names of apps whose files have errors, with the path of the file: what runs of them is left alone.
    ///
    /// A file whose name is no name (`Web.toml`) stands here under the name that was probably meant (`web`),
    /// unless a valid app has it; and when `homeostat.toml` has errors, every app stands here.
    pub broken: BTreeMap<Name, String>,
    /// What is removed by itself; `None` when `homeostat.toml` has errors, so that nobody knows.
    pub prune: Option<PrunePolicy>,
    /// Everything found, sorted by file and position.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// Whether anything is wrong that has to be put right, be it of an app or not.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Whether a path of a source is a spec file: `*.toml` directly in the root, and not hidden
/// (editors keep their swap files and locks as `.web.toml` or `.#web.toml`).
pub fn is_spec_path(path: &str) -> bool {
    let stem = path.strip_suffix(".toml");
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with('.') && !stem.contains('/'))
}

/// Compiles the spec files of one revision for one node.
///
/// `homeostat.toml` among the files holds what all apps have in common; every other file is an app.
///
/// # Guarantees
/// - Total and deterministic: any bytes give a result, and the same input gives the same one.
/// - Everything that is wrong is reported at once, in all files.
/// - An app whose file has an error is not in [`Compiled::apps`], and never affects another app, except where
///   both want the same thing of the host (a port, a subnet, a name): then both have an error.
pub fn compile(files: &[SpecFile], tree: &dyn Tree, node: &Node) -> Compiled {
    let common = files.iter().position(|file| file.path == policy::PATH);
    let (policy, document) = Policy::read(common.map(|index| &files[index]), node);
    let apps = files.iter().enumerate().filter(|(index, _)| Some(*index) != common);
    let mut units: Vec<_> = apps.map(|(_, file)| Unit::read(file, &policy, tree)).collect();
    check_file_names(&mut units);
    collisions::check(&mut units);

    let mut compiled = Compiled::default();
    compiled.diagnostics.extend(document.into_iter().flat_map(Document::into_diagnostics));
    let (good, bad): (Vec<_>, Vec<_>) =
        units.into_iter().partition(|unit| !policy.broken && !unit.document.has_errors());
    for unit in good {
        unit.accept(&mut compiled);
    }
    for unit in bad {
        unit.hold(&mut compiled);
    }
    compiled.prune = (!policy.broken).then_some(policy.prune);
    // Within a file they are in order already.
    compiled.diagnostics.sort_by(|one, other| one.file.cmp(&other.file));
    compiled
}

/// One app file on its way to an [`App`].
pub(crate) struct Unit {
    pub(crate) path: String,
    /// `None` when the file's name is no name of an app.
    pub(crate) name: Option<Name>,
    pub(crate) document: Document,
    /// The valid part of the file as it is written.
    pub(crate) file: AppFile,
    declared: Declared,
}

impl Unit {
    fn read(source: &SpecFile, policy: &Policy, tree: &dyn Tree) -> Self {
        let mut document = parse(source);
        expand(&mut document, &policy.variables);
        let valid = structure::check(&mut document, &schema::APP).unwrap_or_else(|| serde_json::json!({}));
        let file = serde_json::from_value(valid).unwrap_or_else(|error| {
            document.error(None, Problem::new(error.to_string()));
            AppFile::default()
        });
        let declared = lower(&mut document, &file, policy, tree);
        Self { path: source.path.clone(), name: stem(&source.path).parse().ok(), document, file, declared }
    }

    fn accept(self, compiled: &mut Compiled) {
        compiled.diagnostics.extend(self.document.into_diagnostics());
        let Some(name) = self.name else { return };
        let app = App {
            name: name.clone(),
            file: self.path,
            description: self.file.app.description,
            images: self.declared.images,
            containers: self.declared.containers,
            volumes: self.declared.volumes,
            networks: self.declared.networks,
        };
        compiled.apps.insert(name, app);
    }

    fn hold(self, compiled: &mut Compiled) {
        compiled.diagnostics.extend(self.document.into_diagnostics());
        let name = self.name.or_else(|| Name::nearest(stem(&self.path)));
        if let Some(name) = name.filter(|name| !compiled.apps.contains_key(name)) {
            compiled.broken.entry(name).or_insert(self.path);
        }
    }
}

/// The name of a file without directory and extension.
fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".toml").unwrap_or(file)
}

/// An app has the name of its file, and that has to be a [`Name`].
fn check_file_names(units: &mut [Unit]) {
    let paths: BTreeSet<String> = units.iter().map(|unit| unit.path.clone()).collect();
    for unit in units {
        let stem = stem(&unit.path);
        if stem == self::stem(policy::PATH) {
            let problem = Problem::new(format!("no app can be called `{stem}`")).hint(
                "`homeostat.toml` is the one file in the root of the source for what all apps have in common",
            );
            unit.document.error(None, problem);
            unit.name = None;
        } else if let Err(problem) = Name::parse(stem) {
            unit.document.error(None, problem.hint(file_name_hint(stem, &paths)));
        }
    }
}

fn file_name_hint(stem: &str, paths: &BTreeSet<String>) -> String {
    let meant = Name::nearest(stem).map(|name| format!("{name}.toml"));
    match meant {
        Some(meant) if paths.contains(&meant) => {
            format!(
                "an app has the name of its file, and `{meant}` is there already: choose another name, or merge them"
            )
        }
        Some(meant) => format!("an app has the name of its file: rename it to `{meant}`"),
        None => "an app has the name of its file: 1 to 63 characters of a-z, 0-9 and -".to_owned(),
    }
}
