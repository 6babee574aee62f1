//! Any bytes as `web.toml` beside any bytes as `homeostat.toml` (split at the first NUL) give a result,
//! the same one twice, and diagnostics that can be printed.
//!
//! Run by `scripts/fuzz 600 compile`.

#![no_main]

use homeostat_spec::{EntryKind, Node, SpecFile, Tree, TreeEntry, compile, render};
use libfuzzer_sys::fuzz_target;

/// Every path is there: a directory unless it looks like a file.
struct AnyTree;

impl Tree for AnyTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        assert!(!path.split('/').any(|part| matches!(part, "." | "..")) && !path.starts_with('/'));
        let kind = if path.ends_with("file") { EntryKind::File } else { EntryKind::Directory };
        Ok(Some(TreeEntry { kind, digest: String::new() }))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (web, common) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &b""[..]),
    };
    let file = |path: &str, content: &[u8]| SpecFile { path: path.to_owned(), content: content.to_vec() };
    let files = [file("web.toml", web), file("homeostat.toml", common)];
    let compiled = compile(&files, &AnyTree, &Node::default());
    assert_eq!(compiled, compile(&files, &AnyTree, &Node::default()));
    assert_eq!(compiled.apps.len() + compiled.broken.len(), 1);
    let _ = render(&compiled.diagnostics, true);
});
