//! What the tests share.

use std::path::Path;

use homeostat_compose::{ComposeFile, Import, Request, Surroundings};
use homeostat_spec::{EntryKind, Node, SpecFile, Tree, TreeEntry, compile, render};

/// Where the Compose files of the tests are said to be.
const DIRECTORY: &str = "/srv/compose";

/// The files of `neighbours/` beside the Compose file, and an environment with a home directory.
pub(crate) struct World;

impl Surroundings for World {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(beneath) = path.strip_prefix(DIRECTORY) else { return Ok(None) };
        let neighbours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/neighbours");
        match fs_err::read(neighbours.join(beneath.trim_start_matches('/'))) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn exists(&self, path: &str) -> bool {
        !path.contains("missing") && !path.contains(".override.")
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/ada".to_owned())
    }
}

/// The import of a file into the directory that it is in.
pub(crate) fn request(name: &str, content: impl Into<Vec<u8>>) -> Request {
    Request { files: vec![file(name, content)], directory: DIRECTORY.to_owned(), app: None, adopt: false }
}

/// A file in the directory.
pub(crate) fn file(name: &str, content: impl Into<Vec<u8>>) -> ComposeFile {
    ComposeFile {
        path: format!("{DIRECTORY}/{name}.yaml"),
        display: format!("{name}.yaml"),
        content: content.into(),
    }
}

/// Every path is there: a directory unless it is called like a Dockerfile.
struct EveryPath;

impl Tree for EveryPath {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        let kind = if path.ends_with("Dockerfile") { EntryKind::File } else { EntryKind::Directory };
        Ok(Some(TreeEntry { kind, digest: String::new() }))
    }
}

/// Fails unless the spec compiles without a single complaint.
pub(crate) fn assert_valid(name: &str, import: &Import) -> homeostat_spec::App {
    let file = SpecFile { path: format!("{}.toml", import.app), content: import.spec.clone().into_bytes() };
    let mut compiled = compile(&[file], &EveryPath, &Node::default());
    assert_eq!(render(&compiled.diagnostics, false), "", "{name}:\n{}", import.spec);
    compiled.apps.remove(&import.app).expect("the app is valid")
}
