//! `environment` and `env_file`.

use std::collections::BTreeMap;

use super::Service;
use crate::check;
use crate::error::Problem;
use crate::merge::as_map;
use crate::paths;
use crate::project::Environment;
use crate::spec::Toml;
use crate::variables::Lookup as _;
use crate::yaml::{Node, Place, Value};

impl Service<'_, '_, '_> {
    pub(super) fn environment(&mut self) -> Result<(), Problem> {
        let mut variables: Vec<(String, String, Place)> = Vec::new();
        let mut table = self.table("env");
        if let Some(node) = self.get("env_file") {
            let items =
                if matches!(node.value, Value::List(_)) { node.items() } else { std::slice::from_ref(node) };
            for item in items {
                if let Some(path) = self.env_file(item, &mut variables)? {
                    table.comments.push(format!("With the variables of {path}."));
                }
            }
        }
        if let Some(node) = self.get("environment") {
            for (name, value) in as_map("environment", node.clone()).entries() {
                let Some(text) = self.value_or_variable(name, value) else {
                    self.lost(
                        value.place,
                        &format!("environment.{name}"),
                        "it is taken from the environment, where it is not set",
                    );
                    continue;
                };
                variables.push((name.clone(), text, value.place));
            }
        }
        let last: BTreeMap<_, _> =
            variables.iter().enumerate().map(|(index, (name, ..))| (name, index)).collect();
        let effective = variables.iter().enumerate().filter(|(index, (name, ..))| last[name] == *index);
        for (_, (name, text, place)) in effective {
            let value = Toml::text(text.clone());
            match check::container("env", &Toml::Table(vec![(name.clone(), value.clone())])) {
                Ok(()) => table.set(name, value),
                Err(_) => {
                    // The message of the check could show the value.
                    self.lost(
                        *place,
                        &format!("environment.{name}"),
                        "its name or value is none that a spec can have",
                    );
                }
            }
        }
        if !table.is_empty() {
            self.tables.push(table);
        }
        Ok(())
    }

    /// Adds the variables of a file; returns how the file is called.
    fn env_file(
        &mut self,
        item: &Node,
        variables: &mut Vec<(String, String, Place)>,
    ) -> Result<Option<String>, Problem> {
        let Some(text) = item.get("path").unwrap_or(item).text() else { return Ok(None) };
        let text = text.to_owned();
        let path = paths::join(&self.shared.files.directory(item.place), &text);
        let raw = item.get("format").and_then(Node::text) == Some("raw");
        let outer = Environment { world: self.shared.files.world, dotenv: &self.shared.project.variables };
        let Some(read) = self.shared.files.variables(&path, item.place, &outer, raw)? else {
            let required = item.get("required").is_none_or(Node::is_true);
            if required {
                self.lost(
                    item.place,
                    "env_file",
                    format!("{text} is not there, so its variables are not in the spec"),
                );
            }
            return Ok(None);
        };
        self.note(item.place, "env_file", format!("the variables of {text} stand in the spec, as `env`"))
            .hint("those that are secret are better [variables] of the host's configuration");
        variables.extend(read.into_iter().map(|(name, value)| (name, value, item.place)));
        Ok(Some(text))
    }

    /// A value, or without one the variable of that name.
    pub(super) fn value_or_variable(&self, name: &str, value: &Node) -> Option<String> {
        if let Some(text) = value.text() {
            return Some(text.to_owned());
        }
        let environment =
            Environment { world: self.shared.files.world, dotenv: &self.shared.project.variables };
        environment.get(name)
    }
}
