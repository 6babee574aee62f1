//! Spec files with the exact result of compiling them.
//!
//! `valid/NAME.toml` is an app whose model is in `snapshots/valid__NAME.snap`. `invalid/NAME.toml` is an app
//! `web.toml`, and `invalid/NAME/` a source of several files, whose diagnostics are in
//! `snapshots/invalid__NAME.snap`. `INSTA_UPDATE=always` writes the snapshots anew; read the difference.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use homeostat_spec::{Node, SpecFile, compile, render};
use support::{SampleTree, file};

#[test]
fn valid_specs_compile_to_the_recorded_model() {
    let node = Node { variables: [("SITE".to_owned(), "attic".to_owned())].into() };
    for path in entries("valid") {
        let compiled = compile(&files(&path), &SampleTree, &node);
        assert_eq!(render(&compiled.diagnostics, false), "", "{}", path.display());
        let stored = serde_json::to_string(&compiled.apps).unwrap();
        assert_eq!(compiled.apps, serde_json::from_str(&stored).unwrap(), "the store keeps models as JSON");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_json_snapshot!(format!("valid__{}", name(&path)), compiled.apps);
        });
    }
}

#[test]
fn invalid_specs_give_the_recorded_diagnostics() {
    let node = Node { variables: [("HOST".to_owned(), "attic".to_owned())].into() };
    for path in entries("invalid") {
        let compiled = compile(&files(&path), &SampleTree, &node);
        let mut text = render(&compiled.diagnostics, false);
        let _ = write!(text, "\nvalid: {:?}\nheld: {:?}\n", compiled.apps.keys(), compiled.broken.keys());
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("invalid__{}", name(&path)), text);
        });
        assert!(!compiled.broken.is_empty() || !compiled.diagnostics.is_empty(), "{}", path.display());
    }
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn files(path: &Path) -> Vec<SpecFile> {
    if path.is_file() {
        return vec![file("web.toml", fs_err::read(path).unwrap())];
    }
    let mut files: Vec<_> = path.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read =
        |path: &PathBuf| file(path.file_name().unwrap().to_str().unwrap(), fs_err::read(path).unwrap());
    files.iter().map(read).collect()
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}
