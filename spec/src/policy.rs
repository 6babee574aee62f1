//! What `homeostat.toml` and the node say for all apps.

use crate::document::{Document, Variables, parse};
use crate::file::{Defaults, SourceFile};
use crate::problem::Problem;
use crate::{Node, PrunePolicy, SpecFile, schema, structure};

/// Path of the file with what all apps have in common.
pub(crate) const PATH: &str = "homeostat.toml";

/// What `homeostat.toml` and the node say for all apps.
#[derive(Default)]
pub(crate) struct Policy {
    pub(crate) variables: Variables,
    pub(crate) defaults: Defaults,
    pub(crate) prune: PrunePolicy,
    /// `homeostat.toml` has errors: what it would have said is not known, so no app can be trusted.
    pub(crate) broken: bool,
}

impl Policy {
    /// Reads `homeostat.toml`, if there is one.
    pub(crate) fn read(file: Option<&SpecFile>, node: &Node) -> (Self, Option<Document>) {
        let mut document = file.map(parse);
        let file = document.as_mut().map(read_file).unwrap_or_default();
        let broken = document.as_ref().is_some_and(Document::has_errors);
        if let Some(document) = document.as_mut().filter(|_| broken) {
            document.warning_at(&[], Problem::new("no app is changed while this file has errors"));
        }
        let mut values = file.variables.as_written().clone();
        values.extend(node.variables.clone());
        let policy = Self {
            variables: Variables { values, incomplete: broken },
            defaults: file.defaults,
            prune: file.prune.into(),
            broken,
        };
        (policy, document)
    }
}

fn read_file(document: &mut Document) -> SourceFile {
    let Some(valid) = structure::check(document, &schema::SOURCE) else {
        return SourceFile::default();
    };
    serde_json::from_value(valid).unwrap_or_else(|error| {
        document.error(None, Problem::new(error.to_string()));
        SourceFile::default()
    })
}
