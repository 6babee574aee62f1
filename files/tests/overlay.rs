//! Promises of mounts, each test in a mount namespace of its own thread.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::overlay::{self, Overlay, OverlayError, Upper};
use homeostat_files::remove_tree;

/// Runs `test` where its mounts are seen by nobody else, and end with it.
fn with_private_mounts(test: impl FnOnce(&Path) + Send + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let flags = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).unwrap();
        test(&path);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn layers(top: &Path, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|number| {
            let layer = top.join(format!("layer{number}"));
            fs::create_dir_all(&layer).unwrap();
            fs::write(layer.join("top"), number.to_string()).unwrap();
            fs::write(layer.join(format!("file{number}")), "").unwrap();
            layer
        })
        .collect()
}

fn made(path: PathBuf) -> PathBuf {
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn two_hundred_layers_with_long_paths_mount() {
    with_private_mounts(|place| {
        let long = place.join("a-long-name-".repeat(20)).join("b-long-name-".repeat(20));
        let lower = layers(&long, 200);
        let target = made(place.join("target"));
        let upper =
            Upper { directory: made(long.join("upper")), work: made(long.join("work")), durable: false };
        overlay::mount(&Overlay { lower: lower.clone(), upper: None }, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("top")).unwrap(), "0", "the first is the top");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 201);
        assert!(fs::write(target.join("new"), "").is_err(), "without an upper it is read-only");
        assert!(overlay::unmount(&target).unwrap());

        overlay::mount(&Overlay { lower, upper: Some(upper) }, &target).unwrap();
        fs::write(target.join("new"), "content").unwrap();
        assert_eq!(fs::read_to_string(long.join("upper/new")).unwrap(), "content");
        assert!(overlay::unmount(&target).unwrap());
        assert!(!overlay::unmount(&target).unwrap());
    });
}

#[test]
fn one_directory_is_a_bind_mount() {
    with_private_mounts(|place| {
        let lower = layers(place, 1);
        let target = made(place.join("target"));
        overlay::mount(&Overlay { lower, upper: None }, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("top")).unwrap(), "0");
        assert!(fs::write(target.join("top"), "changed").is_err());
        overlay::unmount(&target).unwrap();

        let upper =
            Upper { directory: made(place.join("upper")), work: made(place.join("work")), durable: true };
        overlay::mount(&Overlay { lower: Vec::new(), upper: Some(upper) }, &target).unwrap();
        fs::write(target.join("new"), "").unwrap();
        assert!(place.join("upper/new").exists());
        overlay::unmount(&target).unwrap();

        let nothing = overlay::mount(&Overlay { lower: Vec::new(), upper: None }, &target);
        assert!(matches!(nothing, Err(OverlayError::Empty { .. })));
    });
}

#[test]
fn a_refused_mount_says_why_and_leaves_nothing() {
    with_private_mounts(|place| {
        let mut lower = layers(place, 2);
        lower.push(place.join("missing"));
        let target = made(place.join("target"));
        let error = overlay::mount(&Overlay { lower, upper: None }, &target).unwrap_err();
        assert!(error.to_string().contains("layers at"), "{error}");
        assert!(!overlay::unmount(&target).unwrap());

        let directory = made(place.join("upper"));
        let upper = Upper { work: made(directory.join("work")), directory, durable: true };
        let error = overlay::mount(&Overlay { lower: layers(place, 2), upper: Some(upper) }, &target);
        assert!(matches!(error, Err(OverlayError::Mount { layers: 3, .. })), "{error:?}");
        assert!(!overlay::unmount(&target).unwrap());
    });
}

#[test]
fn removal_refuses_to_enter_a_mount() {
    with_private_mounts(|place| {
        let data = made(place.join("data"));
        fs::write(data.join("precious"), "").unwrap();
        let tree = made(place.join("tree/deep/mounted"));
        rustix::mount::mount_bind(&data, &tree).unwrap();
        let error = remove_tree(place.join("tree")).unwrap_err();
        assert_eq!(error.source.to_string(), "something is mounted there or beneath");
        assert!(remove_tree(&tree).is_err());
        assert!(data.join("precious").exists());
        overlay::unmount(&tree).unwrap();
        assert!(remove_tree(place.join("tree")).unwrap());
    });
}

#[test]
fn a_trial_says_where_overlayfs_can_write_and_leaves_no_mount() {
    with_private_mounts(|place| {
        overlay::try_in(place.join("trial")).unwrap();
        assert!(remove_tree(place.join("trial")).unwrap(), "nothing is mounted there");
        let root = made(place.join("root"));
        let upper =
            Upper { directory: made(place.join("upper")), work: made(place.join("work")), durable: true };
        overlay::mount(&Overlay { lower: layers(place, 1), upper: Some(upper) }, &root).unwrap();
        let error = overlay::try_in(root.join("trial")).unwrap_err();
        assert!(matches!(error, OverlayError::Mount { .. }), "{error:?}");
        assert!(remove_tree(root.join("trial")).unwrap());
        assert!(overlay::unmount(&root).unwrap());
    });
}
