//! From the text of the spec files to [`App`]s.

use std::collections::BTreeMap;

use crate::{App, Diagnostic, Name, Tree};

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

/// The result of [`compile`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The valid apps.
    pub apps: BTreeMap<Name, App>,
    /// Names of apps whose files have errors: what runs of them is left alone.
    pub broken: BTreeMap<Name, String>,
    /// Everything found, sorted by file and position.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the spec files of one revision for one node.
pub fn compile(_files: &[SpecFile], _tree: &dyn Tree, _node: &Node) -> Compiled {
    Compiled::default()
}
