//! A git branch as a source, over `file://`.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use futures::StreamExt;
use homeostat_reconciler::ErrorKind;
use homeostat_reconciler::ports::Source;
use homeostat_source::{Credentials, GitConfig, GitSource};
use homeostat_spec::{EntryKind, SourcePath};
use support::{PATIENCE, Repository, content, export, names, paths, source_path};
use tempfile::TempDir;

/// Every file below a directory with what changes when it is written.
fn state(directory: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        found.insert(path.clone(), (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()));
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn a_push_is_a_new_snapshot_at_its_commit() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.write("sub/other.toml", "");
    repository.write(".hidden.toml", "");
    let first = repository.push();
    let source = repository.source();
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!((snapshot.revision.as_str(), paths(&snapshot)), (first.as_str(), vec!["web.toml"]));
    repository.write("web.toml", "two");
    repository.write("db.toml", "new");
    let second = repository.push();
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(snapshot.revision, second);
    assert_eq!(paths(&snapshot), ["db.toml", "web.toml"]);
    assert_eq!(content(&snapshot, "web.toml"), "two");
    assert!(!repository.mirror().join("web.toml").exists(), "nothing is checked out");
}

#[tokio::test]
async fn a_force_push_that_drops_history_is_followed() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    repository.write("web.toml", "two");
    repository.push();
    let source = repository.source();
    source.snapshot().await.unwrap();
    repository.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    repository.write("web.toml", "three");
    repository.git(&["add", "--all"]);
    repository.git(&["commit", "--quiet", "-m", "anew"]);
    repository.git(&["push", "--quiet", "--force", "origin", "fresh:main"]);
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(content(&snapshot, "web.toml"), "three");
    assert_eq!(snapshot.revision, repository.git(&["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn a_poll_of_an_unchanged_branch_leaves_the_mirror_untouched() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let source = repository.source();
    source.snapshot().await.unwrap();
    let before = state(&repository.mirror());
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(content(&snapshot, "web.toml"), "one");
    assert_eq!(state(&repository.mirror()), before);
    // Nor does a restart.
    repository.source().snapshot().await.unwrap();
    assert_eq!(state(&repository.mirror()), before);
}

#[tokio::test]
async fn only_the_one_branch_and_no_tags_are_fetched() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    repository.write("web.toml", "side");
    let side = repository.push();
    repository.git(&["tag", "v1"]);
    repository.git(&["push", "--quiet", "origin", "v1"]);
    let source = GitSource::new(GitConfig { branch: Some("main".into()), ..repository.config() }).unwrap();
    assert_eq!(content(&source.snapshot().await.unwrap(), "web.toml"), "one");
    let mirror = git2::Repository::open_bare(repository.mirror()).unwrap();
    assert!(mirror.find_commit(side.parse().unwrap()).is_err());
    assert_eq!(mirror.references().unwrap().count(), 1);
    drop(source);
    let source = GitSource::new(GitConfig { branch: Some("side".into()), ..repository.config() }).unwrap();
    assert!(source.last_snapshot().await.is_none(), "what was fetched was another branch");
    assert_eq!(content(&source.snapshot().await.unwrap(), "web.toml"), "side");
}

#[tokio::test]
async fn a_missing_branch_names_those_that_are_there() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let source = GitSource::new(GitConfig { branch: Some("prod".into()), ..repository.config() }).unwrap();
    let error = source.snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::User);
    assert!(error.message.contains("no branch prod"), "{error}");
    assert_eq!(error.hint.unwrap(), "it has main");
}

#[tokio::test]
async fn an_empty_repository_and_a_missing_one_are_told_apart() {
    let repository = Repository::new();
    let error = repository.source().snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::User);
    assert!(error.message.contains("no commits yet"), "{error}");
    let url = "file:///nonexistent/fleet.git".to_owned();
    let error =
        GitSource::new(GitConfig { url, ..repository.config() }).unwrap().snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config, "{error:?}");
}

#[tokio::test]
async fn a_directory_of_the_repository_is_a_source_of_its_own() {
    let repository = Repository::new();
    repository.write("fleet/edge/web.toml", "edge");
    repository.write("fleet/edge/web/page", "");
    repository.write("secret", "");
    fs::create_dir_all(repository.work()).unwrap();
    symlink("../../secret", repository.work().join("fleet/edge/out")).unwrap();
    repository.push();
    let config = GitConfig { path: Some("./fleet/edge/".into()), ..repository.config() };
    let source = GitSource::new(config).unwrap();
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(paths(&snapshot), ["web.toml"]);
    assert_eq!(snapshot.tree.entry("web").unwrap().unwrap().kind, EntryKind::Directory);
    assert!(snapshot.tree.entry("out").unwrap_err().contains("leaves the source"));
    let target = TempDir::new().unwrap();
    export(&source, &snapshot, "web", target.path()).await.unwrap();
    let config = GitConfig { path: Some("nothing".into()), ..repository.config() };
    let error = GitSource::new(config).unwrap().snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::User);
    assert!(error.message.contains("no directory nothing"), "{error}");
}

#[tokio::test]
async fn offline_the_last_revision_is_there_and_can_be_exported() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.write("web/page", "text");
    let commit = repository.push();
    repository.source().snapshot().await.unwrap();
    fs::rename(repository.remote(), repository.directory.path().join("gone")).unwrap();
    // As after a reboot.
    let source = repository.source();
    assert!(source.snapshot().await.is_err());
    let last = source.last_snapshot().await.unwrap();
    assert_eq!((last.revision.as_str(), content(&last, "web.toml").as_str()), (commit.as_str(), "one"));
    let target = TempDir::new().unwrap();
    let exported = export(&source, &last, "web", target.path()).await.unwrap();
    assert_eq!(fs::read_to_string(exported.join("page")).unwrap(), "text");
}

#[tokio::test]
async fn a_mirror_broken_by_a_power_cut_is_moved_aside_and_fetched_anew() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.write("web/page", "text");
    repository.push();
    let breakages: [&dyn Fn(&Path); 4] = [
        &|mirror| fs::remove_file(mirror.join("HEAD")).unwrap(),
        &|mirror| empty(&mirror.join("refs/homeostat"), ""),
        &|mirror| empty(&mirror.join("objects/pack"), ".pack"),
        &|mirror| empty(&mirror.join("objects/pack"), ".idx"),
    ];
    for breakage in breakages {
        repository.source().snapshot().await.unwrap();
        breakage(&repository.mirror());
        let source = repository.source();
        let snapshot = source.snapshot().await.unwrap();
        assert_eq!(content(&snapshot, "web.toml"), "one");
        fs::remove_dir_all(repository.directory.path().join("mirror.broken")).unwrap();
        let target = TempDir::new().unwrap();
        export(&source, &snapshot, "web", target.path()).await.unwrap();
    }
}

/// Leaves files with this ending without bytes.
fn empty(directory: &Path, ending: &str) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(ending) {
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            fs::write(path, "").unwrap();
        }
    }
}

#[tokio::test]
async fn a_broken_file_that_only_an_export_finds_is_repaired_by_the_next_snapshot() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    // Does not compress, so that a flipped byte in the middle of the pack is the file's.
    let noise: String =
        (0..200_000_u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    repository.write("web/noise", &noise);
    repository.push();
    let source = repository.source();
    let snapshot = source.snapshot().await.unwrap();
    for entry in fs::read_dir(repository.mirror().join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    // As after a restart: whoever has the old file open reads that.
    let path = source_path(&snapshot, "web");
    let revision = snapshot.revision.clone();
    drop((snapshot, source));
    let (source, target) = (repository.source(), TempDir::new().unwrap());
    let snapshot = source.last_snapshot().await.unwrap();
    assert_eq!(snapshot.revision, revision);
    let error = source.export(&snapshot, &path, &target.path().join("exported")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient, "{error:?}");
    assert!(names(target.path()).is_empty());
    let snapshot = source.snapshot().await.unwrap();
    export(&source, &snapshot, "web", target.path()).await.unwrap();
}

#[tokio::test]
async fn leftovers_of_a_killed_fetch_are_in_nobodys_way() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    repository.source().snapshot().await.unwrap();
    let pack = repository.mirror().join("objects/pack");
    let reference = names(&repository.mirror().join("refs/homeostat")).remove(0);
    fs::write(pack.join("pack_git2_abc123"), "half").unwrap();
    fs::write(repository.mirror().join(format!("refs/homeostat/{reference}.lock")), "").unwrap();
    repository.write("web.toml", "two");
    repository.push();
    assert_eq!(content(&repository.source().snapshot().await.unwrap(), "web.toml"), "two");
    assert!(!pack.join("pack_git2_abc123").exists());
}

/// Set in the processes that are killed while they fetch.
const KILLED: &str = "HOMEOSTAT_TEST_REPOSITORY";

#[tokio::test]
async fn a_fetch_killed_at_any_time_is_made_good_by_the_next() {
    let config = |repository: &Path| GitConfig {
        url: repository.join("remote.git").display().to_string(),
        branch: None,
        path: None,
        interval: Duration::from_mins(1),
        mirror_directory: repository.join("mirror"),
        credentials: Credentials::default(),
    };
    if let Some(path) = std::env::var_os(KILLED) {
        GitSource::new(config(Path::new(&path))).unwrap().snapshot().await.unwrap();
        return;
    }
    let repository = Repository::new();
    let fetch = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_fetch_killed_at_any_time_is_made_good_by_the_next"])
            .env(KILLED, repository.directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut whole = Duration::ZERO;
    for round in 0..30_u32 {
        for number in 0..20 {
            repository.write(&format!("web/{number}"), &format!("{round} {number}").repeat(2000));
        }
        repository.write("web.toml", &round.to_string());
        repository.push();
        let started = Instant::now();
        let mut child = fetch();
        if round == 0 {
            assert!(child.wait().unwrap().success());
            whole = started.elapsed();
            continue;
        }
        // Another moment in each round, from the start of the process to after its end.
        let moment = started + whole * round / 25;
        while Instant::now() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 5 == 4 {
            let source = GitSource::new(config(repository.directory.path())).unwrap();
            let (snapshot, target) = (source.snapshot().await.unwrap(), TempDir::new().unwrap());
            assert_eq!(content(&snapshot, "web.toml"), round.to_string());
            export(&source, &snapshot, "web", target.path()).await.unwrap();
        }
    }
    let packs = names(&repository.mirror().join("objects/pack"));
    assert!(packs.iter().all(|name| name.starts_with("pack-")), "{packs:?}");
}

#[tokio::test]
async fn a_mirror_of_many_fetches_stays_small_and_whole() {
    let repository = Repository::new();
    repository.write("web/page", "text");
    let source = repository.source();
    for round in 0..40 {
        repository.write("web.toml", &round.to_string());
        repository.push();
        assert_eq!(content(&source.snapshot().await.unwrap(), "web.toml"), round.to_string());
    }
    let packs = names(&repository.mirror().join("objects/pack"));
    assert!(packs.len() < 2 * 32, "{packs:?}");
    let target = TempDir::new().unwrap();
    let last = repository.source().last_snapshot().await.unwrap();
    export(&source, &last, "web", target.path()).await.unwrap();
}

#[tokio::test]
async fn specs_that_cannot_be_read_are_broken_and_not_absent() {
    let repository = Repository::new();
    repository.write("good.toml", "");
    repository.write("big.toml", &"#".repeat(3 << 20));
    repository.write("target.txt", "through a link");
    for (target, name) in [
        ("target.txt", "link.toml"),
        ("/etc/passwd", "leaves.toml"),
        ("../x", "up.toml"),
        ("loop.toml", "loop.toml"),
    ] {
        symlink(target, repository.work().join(name)).unwrap();
    }
    repository.push();
    let snapshot = repository.source().snapshot().await.unwrap();
    assert_eq!(snapshot.specs.len(), 6);
    assert_eq!(content(&snapshot, "link.toml"), "through a link");
    assert_eq!(content(&snapshot, "big.toml").len(), (1 << 20) + 1);
    for spec in ["leaves.toml", "up.toml"] {
        assert!(content(&snapshot, spec).contains("leaves the source"));
    }
    assert!(content(&snapshot, "loop.toml").contains("too many symbolic links"));
}

#[tokio::test]
async fn digests_follow_content_and_mode_and_not_the_commit() {
    let repository = Repository::new();
    repository.write("web/page", "text");
    repository.write("web.toml", "one");
    repository.push();
    let source = repository.source();
    let digest = |snapshot| (source_path(&snapshot, "web").digest, source_path(&snapshot, "web/page").digest);
    let first = digest(source.snapshot().await.unwrap());
    repository.write("web.toml", "two");
    repository.push();
    assert_eq!(digest(source.snapshot().await.unwrap()), first);
    fs::set_permissions(repository.work().join("web/page"), PermissionsExt::from_mode(0o755)).unwrap();
    repository.push();
    let second = digest(source.snapshot().await.unwrap());
    assert!(second.0 != first.0 && second.1 != first.1);
    assert!(second.0.chars().all(|c| c.is_ascii_hexdigit()));
}

#[tokio::test]
async fn an_export_has_files_links_and_executable_bits() {
    let repository = Repository::new();
    repository.write("web/bin/run", "#!/bin/sh");
    repository.write("web/page", "text");
    fs::set_permissions(repository.work().join("web/bin/run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("../page", repository.work().join("web/bin/page")).unwrap();
    repository.push();
    let (source, target) = (repository.source(), TempDir::new().unwrap());
    let snapshot = source.snapshot().await.unwrap();
    let exported = export(&source, &snapshot, "web", target.path()).await.unwrap();
    assert_eq!(fs::read_to_string(exported.join("bin/page")).unwrap(), "text");
    let mode = |path: &str| fs::metadata(exported.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/run"), mode("page"), mode("")), (0o755, 0o644, 0o755));
    assert_eq!(names(target.path()), ["exported"]);
    let file = target.path().join("file");
    source.export(&snapshot, &source_path(&snapshot, "web/page"), &file).await.unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "text");
    let stale = SourcePath { path: "web".into(), digest: "0".repeat(46) };
    let error = source.export(&snapshot, &stale, &target.path().join("stale")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
}

#[tokio::test]
async fn hostile_trees_are_refused_by_digest_and_export_alike() {
    let repository = Repository::new();
    let blob = repository.blob("x");
    let out = repository.blob("../../../etc/passwd");
    let sly = repository.blob("a/../../b");
    let id = |hex: &str| git2::Oid::from_str(hex).unwrap();
    let raw = |name: &[u8]| {
        let mut bytes = [b"100644 ", name, b"\0"].concat();
        bytes.extend_from_slice(id(&blob).as_bytes());
        repository.raw_tree(&bytes)
    };
    let commit = "0123456789012345678901234567890123456789";
    for (listing, reason) in [
        (format!("040000 tree {}\tweb", raw(b"..")), "not a name"),
        (format!("040000 tree {}\tweb", raw(b".git")), "not a name"),
        (format!("040000 tree {}\tweb", raw(b".GIT")), "not a name"),
        (format!("040000 tree {}\tweb", raw(b"a/b")), "not a name"),
        (format!("040000 tree {}\tweb", raw(b"/etc")), "not a name"),
        (format!("120000 blob {out}\tweb"), "leaves the source"),
        (format!("160000 commit {commit}\tweb"), "submodule"),
    ] {
        repository.push_tree(&format!("{listing}\n100644 blob {blob}\tgood.toml\n"));
        let source = repository.source();
        let snapshot = source.snapshot().await.unwrap();
        assert_eq!(paths(&snapshot), ["good.toml"]);
        let message = snapshot.tree.entry("web").unwrap_err();
        assert!(message.contains(reason), "{listing}: {message}");
    }
    for (mode, kind, object, reason) in [
        ("120000", "blob", &out, "leaves the directory"),
        ("120000", "blob", &sly, "leaves the directory"),
        ("160000", "commit", &commit.to_owned(), "submodule"),
    ] {
        let inner = format!("{mode} {kind} {object}\tentry\n");
        let tree = repository.push_tree(&inner);
        let tree = repository.git(&["rev-parse", &format!("{tree}^{{tree}}")]);
        repository.push_tree(&format!("040000 tree {tree}\tweb\n"));
        let (source, target) = (repository.source(), TempDir::new().unwrap());
        let snapshot = source.snapshot().await.unwrap();
        let message = snapshot.tree.entry("web").unwrap_err();
        assert!(message.contains(reason), "{message}");
        let path = SourcePath { path: "web".into(), digest: format!("{tree}040000") };
        let error = source.export(&snapshot, &path, &target.path().join("x")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::User);
        assert!(names(target.path()).is_empty());
    }
}

#[tokio::test]
async fn a_tree_that_repeats_itself_without_end_is_refused_soon() {
    let repository = Repository::new();
    let blob = repository.blob("x");
    let mut tree = repository.push_tree(&format!("100644 blob {blob}\tfile\n"));
    tree = repository.git(&["rev-parse", &format!("{tree}^{{tree}}")]);
    for _ in 0..12 {
        let listing: String = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .map(|name| format!("040000 tree {tree}\t{name}\n"))
            .concat();
        let commit = repository.push_tree(&listing);
        tree = repository.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    }
    let snapshot = repository.source().snapshot().await.unwrap();
    let started = Instant::now();
    assert!(snapshot.tree.entry("").unwrap_err().contains("more than"));
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn two_thousand_files_are_read_and_exported() {
    let repository = Repository::new();
    for number in 0..2000 {
        repository.write(&format!("web/{}/file-{number}", number % 40), &number.to_string());
    }
    for number in 0..200 {
        repository.write(&format!("app-{number}.toml"), "");
    }
    repository.push();
    let (source, target) = (repository.source(), TempDir::new().unwrap());
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(snapshot.specs.len(), 200);
    let exported = export(&source, &snapshot, "web", target.path()).await.unwrap();
    assert_eq!(fs::read_to_string(exported.join("39/file-1999")).unwrap(), "1999");
    let files: usize = names(&exported).iter().map(|name| names(&exported.join(name)).len()).sum();
    assert_eq!(files, 2000);
}

#[tokio::test]
async fn hooks_of_the_repositories_do_not_run() {
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let source = repository.source();
    source.snapshot().await.unwrap();
    let witness = repository.directory.path().join("ran");
    for directory in [repository.remote(), repository.mirror()] {
        for hook in ["post-checkout", "reference-transaction", "post-update", "pre-receive", "post-merge"] {
            let path = directory.join("hooks").join(hook);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
        }
    }
    repository.write("web.toml", "two");
    repository.push();
    let snapshot = source.snapshot().await.unwrap();
    let target = TempDir::new().unwrap();
    export(&source, &snapshot, "web.toml", target.path()).await.unwrap();
    assert!(!witness.exists());
}

#[tokio::test]
async fn changes_fire_every_interval() {
    let repository = Repository::new();
    let interval = Duration::from_millis(200);
    let source = GitSource::new(GitConfig { interval, ..repository.config() }).unwrap();
    let started = Instant::now();
    let fired = source.changes().take(3).collect::<Vec<()>>();
    assert_eq!(tokio::time::timeout(PATIENCE, fired).await.unwrap().len(), 3);
    assert!(started.elapsed() >= 3 * Duration::from_millis(180));
}

#[test]
fn what_is_shown_of_a_source_has_no_secrets() {
    let repository = Repository::new();
    let url = "https://me:hunter2@example.org/fleet.git".to_owned();
    let source = GitSource::new(GitConfig { url, ..repository.config() }).unwrap();
    assert_eq!(source.describe(), "https://example.org/fleet.git");
    assert!(!format!("{source:?}").contains("hunter2"));
    for url in ["ext::sh -c id", "git://example.org/x", "ssh://-oProxyCommand=id/x"] {
        let error = GitSource::new(GitConfig { url: url.into(), ..repository.config() }).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
    }
}
