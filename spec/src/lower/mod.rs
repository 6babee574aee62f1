//! From a file as it is written to the model: defaults filled in, references resolved, and
//! everything checked that takes more than one value to see.

mod container;
mod dependencies;
mod image;
mod kernel;
mod mounts;
mod names;
mod network;

use std::collections::BTreeMap;

use crate::document::Document;
use crate::file::{AdoptValue, AppFile, VolumeTable};
use crate::policy::Policy;
use crate::problem::Problem;
use crate::suggest::did_you_mean;
use crate::{Container, Image, Name, Network, Tree, Volume};

/// What an app file declares.
#[derive(Default)]
pub(crate) struct Declared {
    pub(crate) images: BTreeMap<Name, Image>,
    pub(crate) containers: BTreeMap<Name, Container>,
    pub(crate) volumes: BTreeMap<Name, Volume>,
    pub(crate) networks: BTreeMap<Name, Network>,
}

/// What the parts of a lowering share.
struct Lowering<'a> {
    document: &'a mut Document,
    file: &'a AppFile,
    policy: &'a Policy,
    tree: &'a dyn Tree,
}

/// Lowers the valid part of a file. The result is complete only if the document has no errors.
pub(crate) fn lower(document: &mut Document, file: &AppFile, policy: &Policy, tree: &dyn Tree) -> Declared {
    let mut lowering = Lowering { document, file, policy, tree };
    lowering.something_is_declared();
    let declared = Declared {
        images: lowering.images(),
        volumes: file.volume.iter().map(|(name, table)| (name, volume(table))).collect(),
        networks: lowering.networks(),
        containers: lowering.containers(),
    };
    lowering.dependencies(&declared.containers);
    declared
}

fn volume(table: &VolumeTable) -> Volume {
    let labels = table.labels.as_written().clone();
    let adopt = table.adopt.as_ref().and_then(AdoptValue::adopt);
    Volume { retain: table.retain.unwrap_or(true), adopt, labels }
}

impl Lowering<'_> {
    /// An empty file is what a full disk or an interrupted save leaves; taken by its word it
    /// would remove all that the app has.
    fn something_is_declared(&mut self) {
        let tables = ["container", "image", "volume", "network"];
        if !self.document.has_errors() && tables.iter().all(|table| self.document.keys(&[table]).is_empty()) {
            let hint = "add a [container.*]; to remove the app, remove the file";
            self.document.error(None, Problem::new("the file declares nothing").hint(hint));
        }
    }

    /// Reports a name that is not declared in this file; one whose table has errors is declared.
    fn require_declared(&mut self, table: &str, name: &str, path: &[&str]) {
        if self.document.has(&[table, name]) {
            return;
        }
        let message = format!("no [{table}.{name}] is declared in this file");
        let hint = format!("add [{table}.{name}]");
        let near = self.nearest_declared(table, name);
        self.document.error_at(path, Problem::new(message).hint(hint).maybe_hint(near));
    }

    fn nearest_declared(&self, table: &str, name: &str) -> Option<String> {
        if self.document.is_full() {
            return None;
        }
        let known = self.document.keys(&[table]);
        did_you_mean(name, known.iter().map(String::as_str))
    }
}
