//! What the tests of this crate share.

#![allow(dead_code, reason = "each test uses a part")]

use homeostat_spec::{EntryKind, SpecFile, Tree, TreeEntry};

/// A source with a few files whose digests are made from their paths.
pub(crate) struct SampleTree;

const DIRECTORIES: [&str; 3] = ["", "web", "conf"];
const FILES: [&str; 3] = ["web/Dockerfile", "conf/app.conf", "web.toml"];

impl Tree for SampleTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        assert!(!path.split('/').any(|part| part == "." || part == ".."), "{path:?} is not clean");
        let entry = |kind| Some(TreeEntry { kind, digest: format!("digest-of-{path}") });
        match path {
            "escape" => Err("the symbolic link \"escape\" leads out of the source".to_owned()),
            path if DIRECTORIES.contains(&path) => Ok(entry(EntryKind::Directory)),
            path if FILES.contains(&path) => Ok(entry(EntryKind::File)),
            _ => Ok(None),
        }
    }
}

/// A spec file from text.
pub(crate) fn file(path: &str, content: impl Into<Vec<u8>>) -> SpecFile {
    SpecFile { path: path.to_owned(), content: content.into() }
}
