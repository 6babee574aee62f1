//! Trees of layers without overlayfs: the same as mounts of them, and what was changed in them.

use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use homeostat_files::overlay::{self, Overlay};
use homeostat_files::{NodeKind, Permissions, Root, Timestamp};
use homeostat_image::{Assembly, ImageStore, Layer, StorageDriver, StoreError};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use crate::overlays::{change, target, with_private_mounts, with_small_disk};
use crate::snapshot::snapshot;
use crate::support::Place;

/// A capability as the kernel keeps it: `cap_net_raw+ep`, revision 2.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Something that is done in a tree; where it makes no sense, nothing.
#[derive(Debug, Clone, Copy)]
struct Deed {
    kind: u8,
    path: usize,
    other: usize,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = (0..14_u8, 0..PATHS.len(), 0..PATHS.len());
    vec(deed.prop_map(|(kind, path, other)| Deed { kind, path, other }), 0..24)
}

const PATHS: [&str; 12] = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "f", "f/a", "f/d/a"];

impl Deed {
    fn done_in(self, top: &Path) {
        // What cannot be done is not done: it is the same in every tree.
        let _ = self.attempt(top);
    }

    fn attempt(self, top: &Path) -> std::io::Result<()> {
        let (path, other) = (top.join(PATHS[self.path]), top.join(PATHS[self.other]));
        let root = Root::open(top).map_err(std::io::Error::other)?;
        let entry = || root.entry(PATHS[self.path]).map_err(std::io::Error::other);
        let handle = || entry()?.handle().map_err(std::io::Error::other);
        match self.kind {
            // Never to what is no plain file: a pipe would wait, and a device be the host's.
            0 if fs::symlink_metadata(&path)?.is_file() => {
                fs::write(&path, format!("in place {}", self.other))
            }
            0 => Ok(()),
            1 | 2 => {
                let _ = fs::remove_file(&path);
                let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
                file.write_all(format!("{} {}", self.kind, self.other).as_bytes())
            }
            3 | 4 => fs::create_dir_all(&path),
            5 => fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)),
            6 => fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path)),
            7 => symlink(PATHS[self.other], &path),
            8 => fs::hard_link(&other, &path),
            9 => fs::rename(&other, &path),
            10 => {
                let mode = 0o4751 ^ u32::try_from(self.other).unwrap_or_default();
                let permissions = Permissions { mode, uid: 7, gid: 8 };
                handle()?.set_permissions(permissions).map_err(std::io::Error::other)
            }
            11 => handle()?
                .set_xattr("user.note".as_ref(), PATHS[self.other].as_bytes())
                .map_err(std::io::Error::other),
            12 => {
                handle()?.set_xattr("security.capability".as_ref(), &NET_RAW).map_err(std::io::Error::other)
            }
            _ => {
                let kind = [NodeKind::Fifo, NodeKind::CharacterDevice(1, 3), NodeKind::BlockDevice(7, 1)];
                let node = entry()?.make_node(kind[self.other % 3], Permissions::root(0o644));
                node.map(drop).map_err(std::io::Error::other)
            }
        }
    }
}

fn do_all(deeds: &[Deed], top: &Path) {
    for deed in deeds {
        deed.done_in(top);
    }
}

/// The lines of a tree without what is told of names that a mount does not show.
fn described(tree: &Path) -> Vec<String> {
    let own_name = |line: String| {
        let path = line.split(' ').next().unwrap().to_owned();
        line.strip_suffix(&format!(" = {path}")).map(str::to_owned).unwrap_or(line)
    };
    snapshot(tree).into_iter().map(own_name).collect()
}

fn assembled(store: &ImageStore, layers: &[Layer], path: PathBuf, what: Assembly) -> PathBuf {
    if path.exists() {
        homeostat_files::remove_tree(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    store.assemble(&store.directories_of(layers).unwrap(), &path, what).unwrap();
    path
}

fn mounted(store: &ImageStore, layers: &[Layer], target: &Path) -> Vec<String> {
    let lower = store.directories_of(layers).unwrap();
    overlay::mount(&Overlay { lower, upper: None }, target).unwrap();
    let seen = described(target);
    overlay::unmount(target).unwrap();
    seen
}

/// Without the time of the top directory: each layer has its own.
fn without_first_time(mut lines: Vec<String>) -> Vec<String> {
    lines[0] = lines[0].split(' ').filter(|word| !word.starts_with('@')).collect::<Vec<_>>().join(" ");
    lines
}

/// Layers that were made by deeds in mounts.
fn layers_of(place: &Place, steps: &[Vec<Deed>]) -> Vec<Layer> {
    let (store, target) = (place.store(), target(place));
    let mut layers = Vec::new();
    for deeds in steps {
        let layer = change(store, &layers, &target, |root| deeds.iter().for_each(|deed| deed.done_in(root)));
        layers.extend(layer);
    }
    layers
}

#[test]
fn whatever_layers_hold_copies_and_links_of_them_are_what_a_mount_shows() {
    with_private_mounts(|| {
        let place = Place::new();
        proptest!(Config { cases: 96, failure_persistence: None, ..Config::default() },
            |(steps in vec(deeds(), 1..5))| {
            let (store, layers) = (place.store(), layers_of(&place, &steps));
            if layers.is_empty() {
                return Ok(());
            }
            let seen = mounted(store, &layers, &target(&place));
            let copy = assembled(store, &layers, place.path("copy"), Assembly::Copies);
            prop_assert_eq!(&described(&copy), &seen);
            let links = assembled(store, &layers, place.path("links"), Assembly::Links);
            // Which are one file by this tree alone, nobody can tell here.
            let plain = |lines: &[String]| -> Vec<String> {
                lines.iter().map(|line| line.split(" = ").next().unwrap().to_owned()).collect()
            };
            prop_assert_eq!(plain(&described(&links)), plain(&seen));
        });
    });
}

#[test]
fn whatever_is_done_in_a_copy_is_in_the_layer_of_its_changes() {
    with_private_mounts(|| {
        let place = Place::new();
        proptest!(Config { cases: 96, failure_persistence: None, ..Config::default() },
            |(steps in vec(deeds(), 1..4), last in deeds())| {
            let (store, mut layers) = (place.store(), layers_of(&place, &steps));
            if layers.is_empty() {
                return Ok(());
            }
            let directories = store.directories_of(&layers).unwrap();
            let copy = assembled(store, &layers, place.path("copy"), Assembly::Copies);
            do_all(&last, &copy);
            let wanted = without_first_time(described(&copy));
            let staged = store.begin_layer(layers.last()).unwrap();
            staged.take_changes(&directories, &copy).unwrap();
            layers.extend(staged.commit().unwrap());
            let again = assembled(store, &layers, place.path("again"), Assembly::Copies);
            prop_assert_eq!(&without_first_time(described(&again)), &wanted);
            prop_assert_eq!(&without_first_time(mounted(store, &layers, &target(&place))), &wanted);
        });
    });
}

/// Sets a time that no clock shows, so that layers made at different moments are the same.
fn date(tree: &Path) {
    fn beneath(root: &Root, path: &Path) {
        for name in root.read_directory(path).unwrap() {
            let path = path.join(name);
            let handle = root.entry(&path).unwrap().handle().unwrap();
            if handle.metadata().unwrap().is_directory() {
                beneath(root, &path);
            }
            handle.set_modified(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 }).unwrap();
        }
        let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
        root.resolve(path).unwrap().set_modified(time).unwrap();
    }
    beneath(&Root::open(tree).unwrap(), Path::new(""));
}

fn base(root: &Path) {
    for path in ["kept/a", "emptied/a", "gone/a", "became-file/a", "moved/a"] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), path).unwrap();
    }
    for path in ["written", "replaced", "became-directory", "chmod", "noted", "one", "shared"] {
        fs::write(root.join(path), path).unwrap();
    }
    for name in ["two", "three"] {
        fs::hard_link(root.join("one"), root.join(name)).unwrap();
    }
    symlink("kept", root.join("link")).unwrap();
    date(root);
}

fn changes(root: &Path) {
    fs::write(root.join("written"), "more than was written").unwrap();
    fs::remove_file(root.join("replaced")).unwrap();
    fs::write(root.join("replaced"), "REPLACED").unwrap();
    fs::remove_file(root.join("emptied/a")).unwrap();
    fs::remove_dir_all(root.join("gone")).unwrap();
    fs::remove_dir_all(root.join("became-file")).unwrap();
    fs::write(root.join("became-file"), "").unwrap();
    fs::remove_file(root.join("became-directory")).unwrap();
    fs::create_dir(root.join("became-directory")).unwrap();
    fs::write(root.join("became-directory/new"), "").unwrap();
    fs::create_dir_all(root.join("new/deep")).unwrap();
    fs::write(root.join("new/deep/file"), "").unwrap();
    fs::hard_link(root.join("new/deep/file"), root.join("new/same")).unwrap();
    fs::rename(root.join("moved/a"), root.join("moved/b")).unwrap();
    fs::remove_file(root.join("two")).unwrap();
    fs::hard_link(root.join("shared"), root.join("shared-too")).unwrap();
    fs::remove_file(root.join("link")).unwrap();
    symlink("gone", root.join("link")).unwrap();
    let tree = Root::open(root).unwrap();
    tree.resolve("noted").unwrap().set_xattr("user.note".as_ref(), b"1").unwrap();
    tree.resolve("chmod").unwrap().set_permissions(Permissions { mode: 0o4711, uid: 1, gid: 2 }).unwrap();
    for (name, kind) in [("pipe", NodeKind::Fifo), ("null", NodeKind::CharacterDevice(1, 3))] {
        tree.entry(name).unwrap().make_node(kind, Permissions::root(0o666)).unwrap();
    }
}

#[test]
fn changes_in_a_copy_make_the_same_layer_as_in_a_mount() {
    with_private_mounts(|| {
        let place = Place::new();
        let (store, target) = (place.store(), target(&place));
        let layers: Vec<Layer> = change(store, &[], &target, base).into_iter().collect();
        let directories = store.directories_of(&layers).unwrap();

        let staged = store.begin_layer(layers.last()).unwrap();
        let upper = overlay::Upper { directory: staged.upper(), work: staged.work(), durable: false };
        let writable = Overlay { lower: directories.clone(), upper: Some(upper) };
        overlay::mount(&writable, &target).unwrap();
        changes(&target);
        overlay::unmount(&target).unwrap();
        date(&staged.upper());
        let by_mount = staged.commit().unwrap().unwrap();

        let copy = assembled(store, &layers, place.path("copy"), Assembly::Copies);
        changes(&copy);
        let staged = store.begin_layer(layers.last()).unwrap();
        staged.take_changes(&directories, &copy).unwrap();
        date(&staged.upper());
        let by_copy = staged.commit().unwrap().unwrap();
        assert_eq!(by_copy, by_mount);
    });
}

/// The names in the layer that changes in a copy of `base` make; none when there is no layer.
fn changed(change: impl FnOnce(&Path)) -> Option<Vec<String>> {
    let place = Place::new();
    let store = place.store();
    let staged = store.begin_layer(None).unwrap();
    base(&staged.upper());
    let layers = [staged.commit().unwrap().unwrap()];
    let directories = store.directories_of(&layers).unwrap();
    let copy = assembled(store, &layers, place.path("copy"), Assembly::Copies);
    change(&copy);
    let staged = store.begin_layer(layers.last()).unwrap();
    staged.take_changes(&directories, &copy).unwrap();
    let layer = staged.commit().unwrap()?;
    let lines = snapshot(&place.unpacked(&layer)).into_iter();
    Some(lines.skip(1).map(|line| name(line.split(" =").next().unwrap())).collect())
}

/// The path of a line, and whether it hides something.
fn name(line: &str) -> String {
    let path = line.split(' ').next().unwrap().trim_start_matches('/').to_owned();
    if line.ends_with(" whiteout") { format!("-{path}") } else { path }
}

#[test]
fn what_only_looks_the_same_is_a_change() {
    let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
    let same_time = |root: &Path, path: &str| {
        Root::open(root).unwrap().resolve(path).unwrap().set_modified(time).unwrap();
    };
    assert_eq!(changed(|root| drop(fs::read(root.join("kept/a")).unwrap())), None);
    // The same size, the same time, and in the end the same file.
    let overwritten = changed(|root| {
        fs::OpenOptions::new()
            .write(true)
            .open(root.join("written"))
            .unwrap()
            .file()
            .write_at(b"W", 0)
            .unwrap();
        same_time(root, "written");
    });
    assert_eq!(overwritten.unwrap(), ["written"]);
    let exchanged = changed(|root| {
        fs::write(root.join("other"), "REPLACED").unwrap();
        fs::rename(root.join("other"), root.join("replaced")).unwrap();
        same_time(root, "replaced");
        same_time(root, "");
    });
    assert_eq!(exchanged.unwrap(), ["replaced"]);
    // A name that is one file with others no more, though it looks as before.
    let parted = changed(|root| {
        fs::write(root.join("other"), "one").unwrap();
        fs::rename(root.join("other"), root.join("two")).unwrap();
        same_time(root, "two");
        same_time(root, "");
    });
    assert_eq!(parted.unwrap(), ["two"]);
    let one_less = changed(|root| {
        fs::remove_file(root.join("two")).unwrap();
        same_time(root, "");
    });
    assert_eq!(one_less.unwrap(), ["-two"]);
    let one_more = changed(|root| {
        fs::create_dir(root.join("new")).unwrap();
        fs::hard_link(root.join("shared"), root.join("new/name")).unwrap();
        same_time(root, "");
    });
    assert_eq!(one_more.unwrap(), ["new", "new/name", "shared"]);
    let touched = changed(|root| {
        fs::write(root.join("kept/new"), "").unwrap();
        fs::remove_file(root.join("kept/new")).unwrap();
    });
    assert_eq!(touched.unwrap(), ["kept"]);
}

#[test]
fn holes_stay_holes_and_a_copy_is_counted_before_it_is_made() {
    with_small_disk("size=8m", |disk| {
        let store = ImageStore::open(disk.join("store")).unwrap();
        let staged = store.begin_layer(None).unwrap();
        let sparse = fs::File::create(staged.upper().join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        sparse.file().write_all_at(&vec![1; 70_000], 1 << 20).unwrap();
        fs::write(staged.upper().join("full"), vec![1; 3 << 20]).unwrap();
        drop(sparse);
        let directory = staged.upper();

        let copy = disk.join("copy");
        fs::create_dir(&copy).unwrap();
        store.assemble(std::slice::from_ref(&directory), &copy, Assembly::Copies).unwrap();
        let (was, is) =
            (fs::metadata(directory.join("sparse")).unwrap(), fs::metadata(copy.join("sparse")).unwrap());
        assert_eq!(is.len(), was.len());
        assert!(is.blocks() <= was.blocks(), "{} {}", is.blocks(), was.blocks());
        let mut content = vec![0; 70_002];
        let file = fs::File::open(copy.join("sparse")).unwrap();
        file.file().read_exact_at(&mut content, (1 << 20) - 1).unwrap();
        assert!(content[0] == 0 && content[70_001] == 0 && content[1..=70_000].iter().all(|byte| *byte == 1));

        let second = disk.join("second");
        fs::create_dir(&second).unwrap();
        let error = store.assemble(std::slice::from_ref(&directory), &second, Assembly::Copies).unwrap_err();
        assert!(matches!(error, StoreError::NoRoom { needed, free, .. } if needed > free), "{error:?}");
        assert!(error.to_string().contains("MiB are free"), "{error}");
        assert_eq!(fs::read_dir(&second).unwrap().count(), 0);
        store.assemble(&[directory], &second, Assembly::Links).unwrap();
    });
}

#[test]
fn three_hundred_layers_are_one_tree() {
    let place = Place::new();
    let layers: Vec<_> = (0..300).map(|number| place.layer(&number.to_string())).collect();
    let copy = assembled(place.store(), &layers, place.path("copy"), Assembly::Copies);
    assert_eq!(fs::read_to_string(copy.join("file")).unwrap(), "299");
}

/// On another overlay overlayfs writes nothing, nor can whiteouts be kept as overlayfs has them.
#[test]
fn a_store_on_an_overlay_keeps_layers_in_its_own_form_and_makes_the_same_archives() {
    with_private_mounts(|| {
        let (here, disk) = (Place::new(), tempfile::tempdir().unwrap());
        let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|name| {
            let path = disk.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        let upper = overlay::Upper { directory: upper, work, durable: true };
        overlay::mount(&Overlay { lower: vec![lower], upper: Some(upper) }, &root).unwrap();
        assert_eq!(*here.store().driver(), StorageDriver::Overlayfs);
        let there = ImageStore::open(root.join("store")).unwrap();
        assert!(matches!(there.driver(), StorageDriver::Vfs { reason } if reason.contains("overlayfs")));

        let target = target(&here);
        let mut layers: Vec<Layer> = change(here.store(), &[], &target, base).into_iter().collect();
        layers.extend(change(here.store(), &layers, &target, changes));
        layers.extend(change(here.store(), &layers, &target, |root| {
            fs::remove_dir_all(root.join("kept")).unwrap();
            fs::create_dir(root.join("kept")).unwrap();
        }));
        here.store().settle().unwrap();
        for layer in &layers {
            let archive = here.store().open_blob(&layer.digest).unwrap();
            let arrived = there.import_layer(archive, homeostat_image::Limits::default()).unwrap();
            assert_eq!(arrived, *layer);
        }
        let seen = mounted(here.store(), &layers, &target);
        let copy = assembled(&there, &layers, root.join("copy"), Assembly::Copies);
        assert_eq!(described(&copy), seen);

        changes_again(&copy);
        let wanted = described(&copy);
        let staged = there.begin_layer(layers.last()).unwrap();
        staged.take_changes(&there.directories_of(&layers).unwrap(), &copy).unwrap();
        let layer = staged.commit().unwrap().unwrap();
        there.settle().unwrap();
        let archive = there.open_blob(&layer.digest).unwrap();
        layers.push(here.store().import_layer(archive, homeostat_image::Limits::default()).unwrap());
        assert_eq!(mounted(here.store(), &layers, &target), wanted);
        assert!(there.check(false).unwrap().findings.is_empty());
        drop(there);
        let again = ImageStore::open(root.join("store")).unwrap();
        assert!(matches!(again.driver(), StorageDriver::Vfs { .. }), "what is unpacked so stays so");
        drop(again);
        assert!(overlay::unmount(&root).unwrap());
    });
}

/// What is unpacked is never taken for something else, whatever the file system takes today.
#[test]
fn a_store_with_layers_keeps_their_form_where_overlayfs_is_gone() {
    with_private_mounts(|| {
        let (disk, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
            let path = disk.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        let store = ImageStore::open(lower.join("store")).unwrap();
        let staged = store.begin_layer(None).unwrap();
        fs::write(staged.upper().join("file"), "content").unwrap();
        let layer = staged.commit().unwrap().unwrap();
        store.settle().unwrap();
        drop(store);
        let upper = overlay::Upper { directory: upper, work, durable: true };
        overlay::mount(&Overlay { lower: vec![lower], upper: Some(upper) }, root.path()).unwrap();
        let store = ImageStore::open(root.path().join("store")).unwrap();
        assert!(matches!(store.driver(), StorageDriver::Vfs { .. }));
        assert!(!root.path().join("store/whiteouts-are-links").exists());
        let copy = assembled(&store, &[layer], root.path().join("copy"), Assembly::Copies);
        assert_eq!(fs::read_to_string(copy.join("file")).unwrap(), "content");
        drop(store);
        assert!(overlay::unmount(root.path()).unwrap());
    });
}

fn changes_again(root: &Path) {
    fs::remove_file(root.join("written")).unwrap();
    fs::remove_file(root.join("became-file")).unwrap();
    fs::create_dir(root.join("became-file")).unwrap();
    fs::write(root.join("became-file/new"), "").unwrap();
}
