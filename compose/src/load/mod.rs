//! From the text of one file to a tree: variables replaced, `include` and `extends` resolved.

mod extends;

use std::collections::BTreeMap;

use crate::error::Problem;
use crate::files::Files;
use crate::finding::Findings;
use crate::merge::{merge, settle};
use crate::paths;
use crate::project::{Environment, PARTS};
use crate::variables::Interpolation;
use crate::yaml::{Node, Place, Value, compose};

/// How many services can extend one another, and files include one another.
const DEEPEST: usize = 16;

/// Reads files.
pub(crate) struct Loader<'f, 'a> {
    pub(super) files: &'f mut Files<'a>,
    pub(super) findings: &'f mut Findings,
    unset: BTreeMap<String, Place>,
}

/// One file, with what it includes and extends.
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Variables of `.env` beside it.
    pub(crate) variables: BTreeMap<String, String>,
}

impl<'f, 'a> Loader<'f, 'a> {
    pub(crate) fn new(files: &'f mut Files<'a>, findings: &'f mut Findings) -> Self {
        Self { files, findings, unset: BTreeMap::new() }
    }

    /// A file as a tree.
    pub(crate) fn document(&mut self, text: &str, file: usize) -> Result<Document, Problem> {
        self.included(text, file, 0)
    }

    fn included(&mut self, text: &str, file: usize, depth: usize) -> Result<Document, Problem> {
        let Document { mut root, variables } = self.plain(text, file)?;
        self.include(&mut root, depth)?;
        self.extend_all(&mut root)?;
        Ok(Document { root, variables })
    }

    /// A file as a tree whose variables are replaced.
    pub(super) fn plain(&mut self, text: &str, file: usize) -> Result<Document, Problem> {
        let place = Place { file, line: 1 };
        let document = compose(text, file, &mut self.files.budget)?;
        for (place, path, tag) in document.unknown_tags {
            let message = format!("Compose has no tag `{tag}`; the value is taken as it is written");
            self.findings.lost(place, path, message).hint("Compose knows `!reset` and `!override`");
        }
        let mut root = document.root.ok_or_else(|| Problem::new(place, "the file is empty"))?;
        if !matches!(root.value, Value::Map(_)) {
            return Err(Problem::new(root.place, "a Compose file is a mapping, which this is not"));
        }
        let path = paths::join(&self.files.directory(place), ".env");
        let nothing = BTreeMap::new();
        let outer = Environment { world: self.files.world, dotenv: &nothing };
        let dotenv = self.files.variables(&path, place, &outer, false)?.unwrap_or_default();
        let variables: BTreeMap<_, _> = dotenv.into_iter().collect();
        let environment = Environment { world: self.files.world, dotenv: &variables };
        let mut interpolation =
            Interpolation { variables: &environment, budget: &mut self.files.budget, unset: &mut self.unset };
        interpolate(&mut root, &mut interpolation)?;
        Ok(Document { root, variables })
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
            self.include_files(root, paths, depth)?;
        }
        Ok(())
    }

    /// Adds what one entry of `include` names: the files of a list are merged, each on top of the one before, and their
    /// paths start from where the first one is.
    fn include_files(&mut self, root: &mut Node, paths: &[Node], depth: usize) -> Result<(), Problem> {
        let mut all = Node::new(root.place, Value::Null);
        let mut directory = None;
        for path in paths {
            let Some(text) = path.text() else {
                return Err(Problem::new(path.place, "`include` takes paths of files"));
            };
            let (file, text) = self.read_required(text, path.place)?;
            let own = self.files.directory(Place { file, line: 1 });
            let directory = directory.get_or_insert(own);
            self.files.set_directory(file, directory);
            let included = self.included(&text, file, depth + 1)?;
            all = merge("", all, included.root);
        }
        settle(&mut all);
        let Value::Map(entries) = all.value else { return Ok(()) };
        for (part, node) in entries.into_iter().filter(|(part, _)| PARTS.contains(&part.as_str())) {
            add_part(root, part, node)?;
        }
        Ok(())
    }

    pub(crate) fn report_unset(&mut self) {
        for (name, place) in std::mem::take(&mut self.unset) {
            let message = "the variable is not set; an empty text stands in its place";
            self.findings
                .lost(place, format!("${{{name}}}"), message)
                .hint("set it in `.env` beside the file or in the environment, and import again");
        }
    }

    pub(super) fn read_required(&mut self, path: &str, from: Place) -> Result<(usize, String), Problem> {
        let path = paths::join(&self.files.directory(from), path);
        self.files.read(&path, from)?.ok_or_else(|| Problem::new(from, format!("{path} is not there")))
    }
}

/// Adds included resources to a part.
fn add_part(root: &mut Node, part: String, node: Node) -> Result<(), Problem> {
    let Value::Map(entries) = &mut root.value else { return Ok(()) };
    let Some((_, own)) = entries.iter_mut().find(|(name, _)| *name == part) else {
        entries.push((part, node));
        return Ok(());
    };
    let (Value::Map(own), Value::Map(included)) = (&mut own.value, node.value) else { return Ok(()) };
    for (name, resource) in included {
        if let Some((_, there)) = own.iter().find(|(other, _)| *other == name) {
            // Several files may declare what they share.
            if there.is_same(&resource) {
                continue;
            }
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
