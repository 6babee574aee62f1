//! Trying a value against the rules of specs before it is written into one.
//!
//! The rules are not repeated here: a spec with nothing else in it is compiled.

use homeostat_spec::{EntryKind, Node, Severity, SpecFile, Tree, TreeEntry, compile};

use crate::spec::Toml;

/// Every path of the source is there. What is not is reported by `homeostat validate`, after the files are in place.
struct EveryPath;

impl Tree for EveryPath {
    fn entry(&self, _: &str) -> Result<Option<TreeEntry>, String> {
        Ok(Some(TreeEntry { kind: EntryKind::Directory, digest: String::new() }))
    }
}

/// Whether a container can have `key = value`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn container(key: &str, value: &Toml) -> Result<(), String> {
    let text = if key == "image" { String::new() } else { "image = \"a:b\"\n".to_owned() };
    first_error(&format!("[container.x]\n{text}{key} = {}\n", value.render()))
}

/// Whether a resource of another kind can have `key = value`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn resource(kind: &str, key: &str, value: &Toml) -> Result<(), String> {
    first_error(&format!("[{kind}.x]\n{key} = {}\n", value.render()))
}

/// What is wrong with a whole spec.
pub(crate) fn spec(path: &str, text: &str) -> Vec<String> {
    errors(path, text)
}

fn first_error(text: &str) -> Result<(), String> {
    errors("x.toml", text).into_iter().next().map_or(Ok(()), Err)
}

fn errors(path: &str, text: &str) -> Vec<String> {
    let file = SpecFile { path: path.to_owned(), content: text.as_bytes().to_vec() };
    let compiled = compile(&[file], &EveryPath, &Node::default());
    let errors = compiled.diagnostics.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    // Which paths are files is not known here.
    let of_the_tree = |message: &str| message.ends_with("is a directory, not a Dockerfile");
    errors
        .filter(|diagnostic| !of_the_tree(&diagnostic.message))
        .map(|diagnostic| match diagnostic.hint {
            Some(hint) => format!("{}; {hint}", diagnostic.message),
            None => diagnostic.message,
        })
        .collect()
}
