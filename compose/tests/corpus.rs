//! Compose files in the shape of well-known ones, with the exact spec and findings that each becomes.
//!
//! `corpus/NAME.yaml` becomes `snapshots/NAME.snap`; `neighbours/` is what stands beside each of them.
//! `INSTA_UPDATE=always` writes the snapshots anew; read the difference.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use homeostat_compose::{Import, import};
use support::{World, assert_valid, request};

#[test]
fn every_file_of_the_corpus_becomes_the_recorded_spec() {
    for (name, content) in corpus() {
        let import =
            import(&request(&name, content), &World).unwrap_or_else(|error| panic!("{name}: {error}"));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text(&import));
        });
    }
}

#[test]
fn every_spec_is_valid() {
    let corpus = corpus();
    assert!(corpus.len() >= 25, "the corpus has {} files", corpus.len());
    for (name, content) in corpus {
        assert_valid(&name, &import(&request(&name, content), &World).unwrap());
    }
}

#[test]
fn containers_that_are_comments_are_valid_when_taken_in() {
    let content = fs_err::read(folder().join("migrations.yaml")).unwrap();
    let mut import = import(&request("migrations", content), &World).unwrap();
    assert!(import.spec.contains("#[container.debug]"));
    let uncommented = |line: &str| match line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')) {
        Some(rest) => format!("{rest}\n"),
        None => format!("{line}\n"),
    };
    import.spec = import.spec.lines().map(uncommented).collect();
    assert!(import.spec.contains("\n[container.debug]"));
    assert_valid("migrations", &import);
}

fn text(import: &Import) -> String {
    let mut text = format!("{}\n", import.spec);
    for finding in &import.findings {
        let _ = writeln!(text, "{}: {finding}", finding.kind);
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let paths = fs_err::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut corpus: Vec<_> = paths
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs_err::read(&path).unwrap()))
        .collect();
    corpus.sort();
    corpus
}
