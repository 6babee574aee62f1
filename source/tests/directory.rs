//! A directory as a source: snapshots, digests, exports.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fs_err as fs;
use homeostat_reconciler::ErrorKind;
use homeostat_reconciler::ports::Source;
use homeostat_source::DirectorySource;
use homeostat_spec::EntryKind;
use support::{content, export, names, paths, source_path};
use tempfile::TempDir;

fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_snapshot_has_the_specs_directly_in_the_directory() {
    let directory = TempDir::new().unwrap();
    for path in ["web.toml", "db.toml", "notes.md", ".hidden.toml", "sub/other.toml"] {
        write(directory.path(), path, path);
    }
    let snapshot = DirectorySource::new(directory.path()).snapshot().await.unwrap();
    assert_eq!(paths(&snapshot), ["db.toml", "web.toml"]);
    assert_eq!(content(&snapshot, "web.toml"), "web.toml");
    assert_eq!(snapshot.revision.len(), 40);
    assert!(snapshot.revision.chars().all(|c| c.is_ascii_hexdigit()));
}

#[tokio::test]
async fn the_revision_follows_the_specs_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "web.toml", "one");
    let source = DirectorySource::new(directory.path());
    let first = source.snapshot().await.unwrap().revision;
    write(directory.path(), "page/index.html", "x");
    assert_eq!(source.snapshot().await.unwrap().revision, first);
    write(directory.path(), "web.toml", "two");
    assert_ne!(source.snapshot().await.unwrap().revision, first);
    write(directory.path(), "web.toml", "one");
    assert_eq!(source.snapshot().await.unwrap().revision, first);
}

#[tokio::test]
async fn an_oversized_spec_is_cut_where_the_compiler_notices() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "big.toml", &"#".repeat(10 << 20));
    let snapshot = DirectorySource::new(directory.path()).snapshot().await.unwrap();
    assert_eq!(snapshot.specs[0].content.len(), (1 << 20) + 1);
}

#[tokio::test]
async fn a_spec_that_cannot_be_read_is_broken_and_not_absent() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    write(path, "good.toml", "");
    symlink("/etc/passwd", path.join("leaves.toml")).unwrap();
    symlink("nothing", path.join("dangling.toml")).unwrap();
    symlink("loop.toml", path.join("loop.toml")).unwrap();
    fs::create_dir(path.join("directory.toml")).unwrap();
    std::process::Command::new("mkfifo").arg(path.join("fifo.toml")).status().unwrap();
    let snapshot = DirectorySource::new(path).snapshot().await.unwrap();
    assert_eq!(snapshot.specs.len(), 6);
    for (spec, reason) in [
        ("leaves.toml", "leaves the source"),
        ("dangling.toml", "to nothing"),
        ("loop.toml", "too many symbolic links"),
        ("directory.toml", "is a directory"),
        ("fifo.toml", "socket, fifo or device"),
    ] {
        let text = content(&snapshot, spec);
        assert!(text.contains(reason), "{spec}: {text}");
        assert!(!text.contains("root:"), "{text}");
    }
}

#[tokio::test]
async fn a_missing_directory_is_an_error_with_a_hint() {
    let error = DirectorySource::new("/nonexistent/specs").snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.hint.unwrap().contains("create it"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = DirectorySource::new(file.path()).snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
}

#[tokio::test]
async fn a_directory_behind_links_as_kubernetes_makes_them_is_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    write(path, "..one/web.toml", "one");
    write(path, "..two/web.toml", "two");
    symlink("..one", path.join("..data")).unwrap();
    symlink("..data/web.toml", path.join("web.toml")).unwrap();
    let source = DirectorySource::new(path);
    assert_eq!(content(&source.snapshot().await.unwrap(), "web.toml"), "one");
    symlink("..two", path.join("..new")).unwrap();
    fs::rename(path.join("..new"), path.join("..data")).unwrap();
    assert_eq!(content(&source.snapshot().await.unwrap(), "web.toml"), "two");
}

#[tokio::test]
async fn a_snapshot_taken_while_directories_are_swapped_is_never_mixed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_owned();
    for version in ["one", "two"] {
        for file in ["a", "b", "c", "d"] {
            write(&path, &format!("{version}/{file}.toml"), version);
        }
    }
    symlink("one", path.join("current")).unwrap();
    let source = DirectorySource::new(path.join("current"));
    let swapping = std::thread::spawn(move || {
        for round in 0..400 {
            symlink(if round % 2 == 0 { "two" } else { "one" }, path.join("next")).unwrap();
            fs::rename(path.join("next"), path.join("current")).unwrap();
            std::thread::yield_now();
        }
    });
    let mut taken = 0;
    while !swapping.is_finished() || taken == 0 {
        // It may also give up, when it is swapped all the time.
        if let Ok(snapshot) = source.snapshot().await {
            let first = &snapshot.specs[0].content;
            assert_eq!(snapshot.specs.len(), 4);
            assert!(snapshot.specs.iter().all(|spec| spec.content == *first));
            taken += 1;
        }
    }
    swapping.join().unwrap();
}

#[tokio::test]
async fn a_digest_follows_names_modes_links_and_bytes() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    write(path, "web/page", "text");
    symlink("page", path.join("web/link")).unwrap();
    let source = DirectorySource::new(path);
    let mut seen = vec![source_path(&source.snapshot().await.unwrap(), "web").digest];
    let changes: [&dyn Fn(); 6] = [
        &|| fs::write(path.join("web/page"), "test").unwrap(),
        &|| fs::set_permissions(path.join("web/page"), PermissionsExt::from_mode(0o755)).unwrap(),
        &|| fs::rename(path.join("web/page"), path.join("web/other")).unwrap(),
        &|| {
            fs::remove_file(path.join("web/link")).unwrap();
            symlink("other", path.join("web/link")).unwrap();
        },
        &|| fs::create_dir(path.join("web/empty")).unwrap(),
        &|| fs::write(path.join("web/new"), "").unwrap(),
    ];
    for change in changes {
        change();
        let digest = source_path(&source.snapshot().await.unwrap(), "web").digest;
        assert!(!seen.contains(&digest));
        seen.push(digest);
    }
    write(path, "web/.git/index", "not part of it");
    assert_eq!(source_path(&source.snapshot().await.unwrap(), "web").digest, *seen.last().unwrap());
}

#[tokio::test]
async fn the_tree_tells_files_from_directories_from_nothing() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "web/page", "text");
    let snapshot = DirectorySource::new(directory.path()).snapshot().await.unwrap();
    let kind = |path: &str| snapshot.tree.entry(path).unwrap().map(|entry| entry.kind);
    assert_eq!(kind(""), Some(EntryKind::Directory));
    assert_eq!(kind("web"), Some(EntryKind::Directory));
    assert_eq!(kind("web/page"), Some(EntryKind::File));
    assert_eq!(kind("web/page/x"), None);
    assert_eq!(kind("nothing"), None);
}

#[tokio::test]
async fn what_leaves_the_source_or_is_no_file_is_refused_with_its_name() {
    let outside = TempDir::new().unwrap();
    write(outside.path(), "secret", "secret");
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    symlink(outside.path(), path.join("out")).unwrap();
    write(path, "context/file", "");
    symlink("../../etc", path.join("context/up")).unwrap();
    write(path, "pipes/file", "");
    std::process::Command::new("mkfifo").arg(path.join("pipes/fifo")).status().unwrap();
    write(path, ".git/config", "");
    write(path, "deep/a/b/file", "");
    symlink("../../../deep/a", path.join("deep/a/b/fine-but-out")).unwrap();
    let snapshot = DirectorySource::new(path).snapshot().await.unwrap();
    for (entry, reason) in [
        ("out", "leaves the source"),
        ("out/secret", "leaves the source"),
        ("../secret", "leaves the source"),
        ("context", "context/up -> ../../etc leaves the directory"),
        ("pipes", "pipes/fifo is a socket, fifo or device"),
        (".git/config", "belongs to git"),
        ("deep", "leaves the directory"),
    ] {
        let message = snapshot.tree.entry(entry).unwrap_err();
        assert!(message.contains(reason), "{entry}: {message}");
    }
}

#[tokio::test]
async fn an_export_is_the_same_tree_with_its_modes_and_links() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    write(path, "web/bin/run", "#!/bin/sh");
    fs::set_permissions(path.join("web/bin/run"), PermissionsExt::from_mode(0o4750)).unwrap();
    symlink("bin/run", path.join("web/start")).unwrap();
    symlink("../start", path.join("web/bin/again")).unwrap();
    write(path, "web/.git/config", "");
    let (source, target) = (DirectorySource::new(path), TempDir::new().unwrap());
    let snapshot = source.snapshot().await.unwrap();
    let exported = export(&source, &snapshot, "web", target.path()).await.unwrap();
    assert_eq!(names(&exported), ["bin", "start"]);
    assert_eq!(fs::read_to_string(exported.join("bin/again")).unwrap(), "#!/bin/sh");
    let mode = fs::metadata(exported.join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750, "set-uid does not come along");
    assert_eq!(names(target.path()), ["exported"], "nothing else is left");
    let same = DirectorySource::new(target.path()).snapshot().await.unwrap();
    fs::set_permissions(path.join("web/bin/run"), PermissionsExt::from_mode(0o750)).unwrap();
    let again = source.snapshot().await.unwrap();
    assert_eq!(source_path(&same, "exported").digest, source_path(&again, "web").digest);
}

#[tokio::test]
async fn an_export_of_what_changed_since_fails_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "page", "text");
    let (source, target) = (DirectorySource::new(directory.path()), TempDir::new().unwrap());
    let snapshot = source.snapshot().await.unwrap();
    let path = source_path(&snapshot, "page");
    write(directory.path(), "page", "test");
    let error = source.export(&snapshot, &path, &target.path().join("x")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(names(target.path()).is_empty());
}

#[tokio::test]
async fn an_export_replaces_what_an_interrupted_one_left_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "page", "text");
    let (source, target) = (DirectorySource::new(directory.path()), TempDir::new().unwrap());
    write(target.path(), ".exported.partial/old", "");
    let snapshot = source.snapshot().await.unwrap();
    let exported = export(&source, &snapshot, "page", target.path()).await.unwrap();
    assert_eq!(fs::read_to_string(&exported).unwrap(), "text");
    assert!(export(&source, &snapshot, "page", target.path()).await.is_err(), "the destination exists");
    assert_eq!(fs::read_to_string(&exported).unwrap(), "text");
    assert_eq!(names(target.path()), ["exported"]);
}
