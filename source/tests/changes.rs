//! A directory tells when it may have changed.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::symlink;
use std::time::Duration;

use fs_err as fs;
use futures::StreamExt;
use futures::stream::BoxStream;
use homeostat_reconciler::ports::Source;
use homeostat_source::DirectorySource;
use support::{PATIENCE, content, paths};
use tempfile::TempDir;
use tokio::time::timeout;

/// Longer than a firing is ever kept back.
const SILENCE: Duration = Duration::from_millis(1500);

async fn fires(changes: &mut BoxStream<'static, ()>) {
    timeout(PATIENCE, changes.next()).await.expect("fires in time").expect("goes on");
}

async fn is_silent(changes: &mut BoxStream<'static, ()>) -> bool {
    timeout(SILENCE, changes.next()).await.is_err()
}

/// Waits until the source, looked at after each firing, is as wanted.
async fn settles(source: &DirectorySource, changes: &mut BoxStream<'static, ()>, text: &str) {
    let wanted = async {
        loop {
            changes.next().await.expect("goes on");
            if source.snapshot().await.is_ok_and(|snapshot| content(&snapshot, "web.toml") == text) {
                return;
            }
        }
    };
    timeout(PATIENCE, wanted).await.expect("becomes as wanted in time");
}

#[tokio::test]
async fn an_edit_fires_and_looking_does_not() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("web.toml"), "one").unwrap();
    let source = DirectorySource::new(directory.path());
    let mut changes = source.changes();
    source.snapshot().await.unwrap();
    assert!(is_silent(&mut changes).await, "nothing happened");
    fs::write(directory.path().join("web.toml"), "two").unwrap();
    fires(&mut changes).await;
    source.snapshot().await.unwrap();
    assert!(is_silent(&mut changes).await, "the edit was told");
}

#[tokio::test]
async fn an_editor_that_writes_beside_and_renames_is_noticed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fs::write(path.join("web.toml"), "one").unwrap();
    let source = DirectorySource::new(path);
    let mut changes = source.changes();
    for text in ["two", "three", "four"] {
        fs::write(path.join(".web.toml.swp"), text).unwrap();
        fs::rename(path.join(".web.toml.swp"), path.join("web.toml")).unwrap();
        settles(&source, &mut changes, text).await;
    }
    fs::remove_file(path.join("web.toml")).unwrap();
    fires(&mut changes).await;
    assert!(source.snapshot().await.unwrap().specs.is_empty());
}

#[tokio::test]
async fn directories_made_renamed_and_renamed_back_stay_watched() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let mut changes = DirectorySource::new(path).changes();
    fs::create_dir_all(path.join("a/b/c")).unwrap();
    fires(&mut changes).await;
    fs::write(path.join("a/b/c/page"), "x").unwrap();
    fires(&mut changes).await;
    fs::rename(path.join("a"), path.join("z")).unwrap();
    fs::rename(path.join("z"), path.join("a")).unwrap();
    fires(&mut changes).await;
    while !is_silent(&mut changes).await {}
    fs::write(path.join("a/b/c/page"), "y").unwrap();
    fires(&mut changes).await;
}

#[tokio::test]
async fn the_git_directory_of_a_worktree_does_not_fire() {
    let directory = TempDir::new().unwrap();
    fs::create_dir_all(directory.path().join(".git/objects")).unwrap();
    let mut changes = DirectorySource::new(directory.path()).changes();
    fs::write(directory.path().join(".git/objects/x"), "x").unwrap();
    assert!(is_silent(&mut changes).await);
}

#[tokio::test]
async fn a_neighbour_of_the_directory_does_not_fire() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("specs")).unwrap();
    let mut changes = DirectorySource::new(directory.path().join("specs")).changes();
    fs::write(directory.path().join("neighbour"), "x").unwrap();
    assert!(is_silent(&mut changes).await);
}

#[tokio::test]
async fn a_swapped_link_is_followed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    for version in ["one", "two", "three"] {
        fs::create_dir_all(path.join(version).join("specs")).unwrap();
        fs::write(path.join(version).join("specs/web.toml"), version).unwrap();
    }
    symlink("one", path.join("current")).unwrap();
    // The link is in the middle of the path.
    let source = DirectorySource::new(path.join("current/specs"));
    let mut changes = source.changes();
    for version in ["two", "three", "one"] {
        symlink(version, path.join("next")).unwrap();
        fs::rename(path.join("next"), path.join("current")).unwrap();
        settles(&source, &mut changes, version).await;
    }
    fs::write(path.join("one/specs/web.toml"), "edited").unwrap();
    settles(&source, &mut changes, "edited").await;
}

#[tokio::test]
async fn a_directory_that_is_removed_and_made_again_is_found_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("deep/er/specs");
    let source = DirectorySource::new(&path);
    let mut changes = source.changes();
    for text in ["one", "two"] {
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("web.toml"), text).unwrap();
        settles(&source, &mut changes, text).await;
        fs::write(path.join("web.toml"), "edited").unwrap();
        settles(&source, &mut changes, "edited").await;
        fs::remove_dir_all(directory.path().join("deep")).unwrap();
        fires(&mut changes).await;
    }
    assert!(source.snapshot().await.is_err());
}

#[tokio::test]
async fn thousands_of_events_are_few_firings_and_the_last_change_is_seen() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_owned();
    let source = DirectorySource::new(&path);
    let mut changes = source.changes();
    let started = std::time::Instant::now();
    let writing = tokio::task::spawn_blocking(move || {
        for number in 0..5000 {
            fs::write(path.join(format!("app-{}.toml", number % 500)), number.to_string()).unwrap();
        }
    });
    let mut firings = 0_u32;
    while !is_silent(&mut changes).await {
        firings += 1;
    }
    writing.await.unwrap();
    // At most one a second while it lasts, and one for each pause of the writer on a busy machine.
    let bound = 5 + 2 * u32::try_from(started.elapsed().as_secs()).unwrap();
    assert!(firings >= 1 && firings <= bound, "{firings} firings, at most {bound} expected");
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(paths(&snapshot).len(), 500);
    assert_eq!(content(&snapshot, "app-499.toml"), "4999");
}
