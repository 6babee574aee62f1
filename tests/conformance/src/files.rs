//! The files of a container.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::StreamExt as _;
use homeostat_reconciler::ports::{Engine, FileChange, FileChangeKind};
use homeostat_reconciler::{ErrorKind, ResourceKey};
use homeostat_spec::{Mount, MountSource};

use crate::world::{expect, key};
use crate::{PATIENCE, World, create, run, shell, wait_exited, wait_for_log};

use FileChangeKind::{Added, Changed, Deleted};

/// The changes beneath directories that only the case uses, and what became of these.
async fn changes(engine: &dyn Engine, key: &ResourceKey, tops: &[&str]) -> Vec<(FileChangeKind, String)> {
    let told: Vec<FileChange> = expect(engine.changes(key).await);
    assert!(told.is_sorted_by_key(|change| change.path.clone()), "{told:?}");
    let wanted = |path: &str| tops.iter().any(|top| path.split('/').nth(1) == Some(*top));
    told.into_iter().filter(|change| wanted(&change.path)).map(|change| (change.kind, change.path)).collect()
}

fn expected(changes: &[(FileChangeKind, &str)]) -> Vec<(FileChangeKind, String)> {
    changes.iter().map(|(kind, path)| (*kind, (*path).to_owned())).collect()
}

/// What is added, changed and removed is told while the container runs and afterwards, and nothing before.
pub async fn what_a_container_changes_is_told(engine: &dyn Engine, world: &World) {
    let script = "mkdir -p /tmp/new/sub; echo x > /tmp/new/sub/file; ln -s /etc/passwd /tmp/link; \
                  echo more >> /www/index.html; rm /bin/yes; chmod 700 /home/worker; echo done; exec sleep 999";
    let key = create(engine, world, "changes", shell(script)).await;
    let tops = ["tmp", "www", "bin", "home"];
    assert_eq!(changes(engine, &key, &tops).await, []);
    expect(engine.start_container(&key).await);
    wait_for_log(engine, &key, "done").await;
    let wanted = expected(&[
        (Changed, "/bin"),
        (Deleted, "/bin/yes"),
        (Changed, "/home"),
        (Changed, "/home/worker"),
        (Changed, "/tmp"),
        (Added, "/tmp/link"),
        (Added, "/tmp/new"),
        (Added, "/tmp/new/sub"),
        (Added, "/tmp/new/sub/file"),
        (Changed, "/www"),
        (Changed, "/www/index.html"),
    ]);
    assert_eq!(changes(engine, &key, &tops).await, wanted);
    expect(engine.stop_container(&key, Some("SIGKILL"), PATIENCE).await);
    assert_eq!(changes(engine, &key, &tops).await, wanted);
}

/// What was in a directory that was removed and made again is gone.
pub async fn a_directory_that_is_made_anew_hides_what_was_in_it(engine: &dyn Engine, world: &World) {
    let script = "rm -r /www && mkdir /www && echo x > /www/other";
    let key = run(engine, world, "anew", shell(script)).await;
    wait_exited(engine, &key).await;
    let told = changes(engine, &key, &["www"]).await;
    let wanted = expected(&[(Changed, "/www"), (Deleted, "/www/index.html"), (Added, "/www/other")]);
    assert_eq!(told, wanted);
}

/// What is in mounts is none of the container's changes.
pub async fn mounts_are_no_changes(engine: &dyn Engine, world: &World) {
    let mut asked = shell("echo x > /tmp/memory/file; echo done; exec sleep 999");
    let mount = Mount { source: MountSource::Tmpfs, target: "/tmp/memory".to_owned(), read_only: false };
    asked.mounts = vec![mount];
    let key = run(engine, world, "mounts", asked).await;
    wait_for_log(engine, &key, "done").await;
    let told = expect(engine.changes(&key).await);
    let inside = |change: &FileChange| change.path.starts_with("/tmp/memory/") || change.path == "/etc/hosts";
    assert!(!told.iter().any(inside), "{told:?}");
}

/// Unpacks what an engine exports of a container.
async fn export(engine: &dyn Engine, world: &World, key: &ResourceKey) -> PathBuf {
    let directory = world.directory.join(format!("exported-{}", key.name));
    fs_err::create_dir_all(&directory).unwrap();
    let archive = world.directory.join("exported.tar");
    let mut file = fs_err::File::create(&archive).unwrap();
    let mut pieces = expect(engine.export_container(key).await);
    while let Some(piece) = pieces.next().await {
        file.write_all(&expect(piece)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "-xpf"]).arg(&archive).arg("-C").arg(&directory);
    assert!(tar.status().unwrap().success());
    directory
}

/// All files of a container are exported as it has them, while it runs and afterwards, without what is mounted.
pub async fn the_files_of_a_container_are_exported(engine: &dyn Engine, world: &World) {
    let script = "echo x > /tmp/new; chown 1000:2000 /tmp/new; chmod 4711 /tmp/new; ln /tmp/new /tmp/other; \
                  ln -s /etc/passwd /tmp/link; rm /bin/yes; rm -r /www; mkdir /www; echo y > /tmp/memory/file; \
                  touch /tmp/.wh.name; echo done; exec sleep 999";
    let mut asked = shell(script);
    let mount = Mount { source: MountSource::Tmpfs, target: "/tmp/memory".to_owned(), read_only: false };
    asked.mounts = vec![mount];
    let key = run(engine, world, "exported", asked).await;
    wait_for_log(engine, &key, "done").await;
    for is_running in [true, false] {
        if !is_running {
            expect(engine.stop_container(&key, Some("SIGKILL"), PATIENCE).await);
        }
        let top = export(engine, world, &key).await;
        let found = fs_err::symlink_metadata(top.join("tmp/new")).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777, found.nlink()), (1000, 2000, 0o4711, 2));
        assert_eq!(fs_err::read_link(top.join("tmp/link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs_err::read(top.join("bin/busybox")).unwrap(), fs_err::read("/bin/busybox").unwrap());
        assert_eq!(fs_err::read_link(top.join("bin/cat")).unwrap(), Path::new("/bin/busybox"));
        assert!(top.join("tmp/.wh.name").exists());
        for gone in ["bin/yes", "www/index.html", "tmp/memory/file", "proc/self"] {
            assert!(!top.join(gone).exists(), "{gone}");
        }
        fs_err::remove_dir_all(&top).unwrap();
    }
}

/// Who is not there has no files.
pub async fn what_does_not_exist_is_not_exported(engine: &dyn Engine, world: &World) {
    let nobody = key("nobody");
    let refused = engine.export_container(&nobody).await.err().expect("there is no such container");
    assert_eq!(refused.kind, ErrorKind::User, "{refused:?}");
    engine.changes(&nobody).await.unwrap_err();
    // One that was never started has the files of its image.
    let idle = create(engine, world, "idle", shell("exec sleep 999")).await;
    let top = export(engine, world, &idle).await;
    assert_eq!(fs_err::read_to_string(top.join("www/index.html")).unwrap(), "hello\n");
}
