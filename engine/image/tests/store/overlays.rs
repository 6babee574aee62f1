//! Layers as overlayfs sees them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::overlay::{self, Overlay, Upper};
use homeostat_image::{ImageStore, Layer, Limits, StagedLayer};

use crate::snapshot::snapshot;
use crate::support::{Place, configuration};

/// Runs `test` where its mounts are seen by nobody else, and end with it.
pub(crate) fn with_private_mounts(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        nix::mount::mount(
            none,
            "/",
            none,
            nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE,
            none,
        )
        .unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `test` with a directory on a disk of this size, of its own.
pub(crate) fn with_small_disk(size: &'static str, test: impl FnOnce(&Path) + Send + 'static) {
    with_private_mounts(move || {
        let disk = tempfile::tempdir().unwrap();
        let none = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), disk.path(), Some("tmpfs"), none, Some(size)).unwrap();
        test(disk.path());
        // What is mounted on cannot be removed.
        nix::mount::umount(disk.path()).unwrap();
    });
}

/// A layer made by changes in a mount of the layers beneath.
pub(crate) fn change(
    store: &ImageStore,
    layers: &[Layer],
    target: &Path,
    change: impl FnOnce(&Path),
) -> Option<Layer> {
    let staged = store.begin_layer(layers.last()).unwrap();
    overlay::mount(&writable(store, layers, &staged), target).unwrap();
    change(target);
    overlay::unmount(target).unwrap();
    staged.commit().unwrap()
}

fn writable(store: &ImageStore, layers: &[Layer], staged: &StagedLayer) -> Overlay {
    let upper = Upper { directory: staged.upper(), work: staged.work(), durable: false };
    Overlay { lower: store.directories_of(layers).unwrap(), upper: Some(upper) }
}

/// What a container of these layers sees.
fn seen(store: &ImageStore, layers: &[Layer], target: &Path) -> Vec<String> {
    let lower = store.directories_of(layers).unwrap();
    overlay::mount(&Overlay { lower, upper: None }, target).unwrap();
    let seen = snapshot(target);
    overlay::unmount(target).unwrap();
    seen
}

pub(crate) fn target(place: &Place) -> PathBuf {
    let target = place.directory.path().join("target");
    fs::create_dir_all(&target).unwrap();
    target
}

#[test]
fn changes_in_a_mount_look_the_same_after_a_journey_as_archives() {
    with_private_mounts(|| {
        let (here, there) = (Place::new(), Place::new());
        let (store, target) = (here.store(), target(&here));
        let mut layers = Vec::new();
        let base = change(store, &layers, &target, |root| {
            for path in
                ["keep/a", "replaced/old", "emptied/old", "removed/x", "moved/deep/file", "became-file/x"]
            {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                fs::write(root.join(path), path).unwrap();
            }
            fs::write(root.join("file"), "base").unwrap();
            fs::hard_link(root.join("file"), root.join("same")).unwrap();
            fs::write(root.join("became-directory"), "").unwrap();
        });
        layers.push(base.unwrap());
        let next = change(store, &layers, &target, |root| {
            fs::remove_dir_all(root.join("removed")).unwrap();
            fs::remove_dir_all(root.join("replaced")).unwrap();
            fs::create_dir(root.join("replaced")).unwrap();
            fs::write(root.join("replaced/new"), "new").unwrap();
            fs::remove_file(root.join("emptied/old")).unwrap();
            assert!(
                fs::rename(root.join("moved"), root.join("moved2")).is_err(),
                "directories are not redirected"
            );
            fs::rename(root.join("file"), root.join("renamed")).unwrap();
            fs::remove_file(root.join("became-directory")).unwrap();
            fs::create_dir(root.join("became-directory")).unwrap();
            fs::remove_dir_all(root.join("became-file")).unwrap();
            fs::write(root.join("became-file"), "").unwrap();
            fs::set_permissions(root.join("keep"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .unwrap();
        });
        layers.push(next.unwrap());
        let nothing = change(store, &layers, &target, |root| drop(fs::read(root.join("keep/a")).unwrap()));
        assert!(nothing.is_none(), "looking is no change");
        let before = seen(store, &layers, &target);
        assert!(before.iter().all(|line| !line.contains("/old") && !line.contains("whiteout")), "{before:?}");

        store.settle().unwrap();
        let import = |layer: &Layer| {
            there.store().import_layer(store.open_blob(&layer.digest).unwrap(), Limits::default()).unwrap()
        };
        let arrived: Vec<_> = layers.iter().map(import).collect();
        assert_eq!(arrived, layers);
        assert_eq!(seen(there.store(), &arrived, &target), before);
    });
}

#[test]
fn an_image_of_two_hundred_layers_mounts() {
    with_private_mounts(|| {
        let place = Place::new();
        let target = target(&place);
        let mut layers: Vec<_> = (0..200).map(|number| place.layer(&number.to_string())).collect();
        layers.push(layers[7].clone());
        place.store().commit_image(configuration(&[]), &layers, Some("app")).unwrap();
        let image = place.store().find("app").unwrap().unwrap();
        assert_eq!(image.layers.len(), 201);
        let lower = place.store().layer_directories(&image).unwrap();
        assert_eq!(lower.len(), 200, "a layer that comes twice is named once");
        overlay::mount(&Overlay { lower, upper: None }, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "7");
        overlay::unmount(&target).unwrap();
    });
}

#[test]
fn a_container_on_a_layer_that_is_repaired_keeps_its_files() {
    with_private_mounts(|| {
        let mut place = Place::new();
        let target = target(&place);
        place.image("lower", "app");
        let layer = place.store().find("app").unwrap().unwrap().layers[0].clone();
        fs::write(place.unpacked(&layer).join("damage"), "").unwrap();
        let staged = place.store().begin_layer(Some(&layer)).unwrap();
        overlay::mount(&writable(place.store(), std::slice::from_ref(&layer), &staged), &target).unwrap();
        assert!(place.store().check(true).unwrap().is_sound());
        assert!(!place.unpacked(&layer).join("damage").exists());
        drop(staged);
        place.reopen_after(|_| {});
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "lower");
        overlay::unmount(&target).unwrap();
        // After the next boot nothing can be mounted any more.
        place.reopen_after(|store| {
            let this_boot = fs::read_dir(store.join("retired")).unwrap().next().unwrap().unwrap().path();
            fs::rename(&this_boot, store.join("retired/another-boot")).unwrap();
        });
        assert_eq!(place.count("retired"), 0);
    });
}

#[test]
fn a_full_disk_is_said_so_and_the_store_goes_on() {
    with_small_disk("size=4m", |disk| {
        let store = ImageStore::open(disk.join("store")).unwrap();
        let layer = |size: usize| {
            let staged = store.begin_layer(None)?;
            fs::write(staged.upper().join("file"), vec![b'x'; size])?;
            staged.commit()
        };
        let small = layer(100_000).unwrap().unwrap();
        store.commit_image(configuration(&[]), &[small], Some("app")).unwrap();
        let error = layer(3_000_000).unwrap_err();
        assert!(error.is_out_of_space(), "{error:?}");
        let error = layer(10_000_000).unwrap_err();
        assert!(error.is_out_of_space(), "{error:?}");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(3_000_000);
        header.set_mode(0o644);
        builder.append_data(&mut header, "file", std::io::repeat(b'x').take(3_000_000)).unwrap();
        let archive = builder.into_inner().unwrap();
        let error = store.import_layer(&archive[..], Limits::default()).unwrap_err();
        assert!(error.is_out_of_space(), "{error:?}");
        assert!(store.check(false).unwrap().findings.is_empty());
        for unfinished in ["ingest", "staging"] {
            assert_eq!(fs::read_dir(store.directory().join(unfinished)).unwrap().count(), 0);
        }
        layer(500_000).unwrap().unwrap();
    });
}
