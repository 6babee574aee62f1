//! Layers: what goes in comes out, and the same goes in as the same bytes.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use fs_err as fs;
use homeostat_files::{NodeKind, Permissions, Root, Timestamp};
use homeostat_image::{ImageStore, Layer, LayerError, Limits, StoreError};
use proptest::prelude::*;

use crate::archive::Archive;
use crate::snapshot::snapshot;
use crate::support::Place;

/// Takes a layer over to another store through its archive.
fn transfer(from: &ImageStore, layer: &Layer, to: &ImageStore) -> Layer {
    from.settle().unwrap();
    to.import_layer(from.open_blob(&layer.digest).unwrap(), Limits::default()).unwrap()
}

fn set_time(root: &Root, path: &str, seconds: i64) {
    root.entry(path).unwrap().handle().unwrap().set_modified(Timestamp { seconds, nanoseconds: 5 }).unwrap();
}

/// Everything that a layer can hold.
fn fill(upper: &Path) {
    let root = Root::open(upper).unwrap();
    let owned = |mode| Permissions { mode, uid: 1000, gid: 3_000_000 };
    root.create_directories("dir/sub", owned(0o2775)).unwrap();
    root.create_directories("hidden", owned(0o1777)).unwrap();
    root.resolve("hidden").unwrap().set_xattr("trusted.overlay.opaque".as_ref(), b"y").unwrap();
    root.resolve("dir").unwrap().set_xattr("trusted.overlay.origin".as_ref(), b"leak").unwrap();
    let tool = root.entry("dir/tool").unwrap();
    tool.create_file(owned(0o600)).unwrap().write_all(b"a program").unwrap();
    let handle = tool.handle().unwrap();
    handle.set_mode(0o6755).unwrap();
    // VFS_CAP_REVISION_2 with cap_net_bind_service, as setcap writes it.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    handle.set_xattr("security.capability".as_ref(), &capability).unwrap();
    handle.set_xattr("user.note".as_ref(), b"line\nline=\0").unwrap();
    root.entry("dir/zz-same").unwrap().hard_link(&tool).unwrap();
    root.entry("a-same").unwrap().hard_link(&tool).unwrap();
    root.entry("link").unwrap().symlink(Path::new("/nowhere/../at all")).unwrap();
    root.entry("link").unwrap().handle().unwrap().set_owner(5, 6).unwrap();
    root.entry("long").unwrap().symlink(Path::new(&"x/".repeat(150))).unwrap();
    root.create_file("n".repeat(200), Permissions::root(0o644)).unwrap();
    root.create_file("dir/sub/ünïcödé", Permissions::root(0)).unwrap();
    root.entry("gone").unwrap().make_node(NodeKind::CharacterDevice(0, 0), Permissions::root(0)).unwrap();
    root.entry("dir/gone-too").unwrap().hard_link(&root.entry("gone").unwrap()).unwrap();
    root.entry("disk").unwrap().make_node(NodeKind::BlockDevice(259, 70_000), owned(0o640)).unwrap();
    root.entry("null").unwrap().make_node(NodeKind::CharacterDevice(1, 3), Permissions::root(0o666)).unwrap();
    root.entry("pipe").unwrap().make_node(NodeKind::Fifo, owned(0o600)).unwrap();
    let mut sparse = root.create_file("sparse", Permissions::root(0o644)).unwrap();
    sparse.set_len(10 << 20).unwrap();
    sparse.write_all(b"start").unwrap();
    drop(sparse);
    UnixListener::bind(upper.join("socket")).unwrap();
    set_time(&root, "dir/tool", -86_400);
    set_time(&root, "null", 1 << 34);
    set_time(&root, "link", 1_000_000_000);
    set_time(&root, "dir", 1_234_567_890);
    root.resolve("").unwrap().set_mode(0o711).unwrap();
}

#[test]
fn everything_that_a_layer_can_hold_comes_out_as_it_went_in() {
    let (here, there) = (Place::new(), Place::new());
    let staged = here.store().begin_layer(None).unwrap();
    fill(&staged.upper());
    let before = snapshot(&staged.upper());
    let layer = staged.commit().unwrap().unwrap();
    assert_eq!(snapshot(&here.unpacked(&layer)), before, "the upper directory itself became the layer");
    let arrived = transfer(here.store(), &layer, there.store());
    assert_eq!(arrived, layer);
    assert_eq!(snapshot(&there.unpacked(&arrived)), before);
    let sparse = fs::metadata(there.unpacked(&arrived).join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "holes stay holes");
}

#[test]
fn the_same_changes_are_the_same_layer_once() {
    let place = Place::new();
    let times = |upper: &Path| {
        let root = Root::open(upper).unwrap();
        for name in root.read_directory("").unwrap() {
            root.entry(&name)
                .unwrap()
                .handle()
                .unwrap()
                .set_modified(Timestamp { seconds: 7, nanoseconds: 0 })
                .unwrap();
        }
        root.resolve("dir/sub").unwrap().set_modified(Timestamp { seconds: 7, nanoseconds: 0 }).unwrap();
        root.resolve("dir/sub/ünïcödé")
            .unwrap()
            .set_modified(Timestamp { seconds: 7, nanoseconds: 0 })
            .unwrap();
        root.resolve("").unwrap().set_modified(Timestamp { seconds: 7, nanoseconds: 0 }).unwrap();
    };
    let mut layers = Vec::new();
    for _ in 0..2 {
        let staged = place.store().begin_layer(None).unwrap();
        fill(&staged.upper());
        times(&staged.upper());
        layers.push(staged.commit().unwrap().unwrap());
    }
    assert_eq!(layers[0], layers[1]);
    assert_eq!((place.count("layers"), place.count("staging")), (1, 0));
    place.store().settle().unwrap();
    assert_eq!((place.count("blobs/sha256"), place.count("ingest")), (1, 0));
}

#[test]
fn other_programs_can_read_the_archive() {
    let place = Place::new();
    let staged = place.store().begin_layer(None).unwrap();
    fill(&staged.upper());
    let layer = staged.commit().unwrap().unwrap();
    place.store().settle().unwrap();
    let mut archive = tar::Archive::new(place.store().open_blob(&layer.digest).unwrap());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        names.push(entry.path().unwrap().to_str().unwrap().to_owned());
        if names.last().unwrap() == "a-same" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, "a program");
        }
    }
    for name in ["./", ".wh.gone", "dir/.wh.gone-too", "hidden/.wh..wh..opq", "dir/sub/ünïcödé"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(names.iter().any(|name| name.len() == 200));
    assert!(!names.iter().any(|name| name == "socket"));
}

#[test]
fn whiteouts_apply_to_the_layers_beneath_only_whatever_their_order() {
    let place = Place::new();
    let orders = [
        Archive::default()
            .file("d/.wh..wh..opq", "")
            .directory("d")
            .file("d/new", "")
            .file("f", "")
            .file(".wh.f", ""),
        Archive::default()
            .directory("d")
            .file("d/new", "")
            .file("d/.wh..wh..opq", "")
            .file(".wh.f", "")
            .file("f", ""),
    ];
    let mut seen = Vec::new();
    for archive in orders {
        let archive =
            archive.file(".wh.gone", "").file(".wh.again", "").directory("again").file(".wh..wh.plnk", "");
        let layer = place.store().import_layer(&archive.end()[..], Limits::default()).unwrap();
        seen.push(snapshot(&place.unpacked(&layer)));
    }
    assert_eq!(seen[0], seen[1]);
    let text = seen[0].join("\n");
    assert!(
        text.contains("/gone whiteout") && text.contains("/f Regular") && !text.contains("plnk"),
        "{text}"
    );
    assert_eq!(text.matches("trusted.overlay.opaque").count(), 2, "{text}");
}

#[test]
fn a_file_that_would_be_read_as_a_whiteout_is_no_layer() {
    let place = Place::new();
    let staged = place.store().begin_layer(None).unwrap();
    fs::write(staged.upper().join(".wh.passwd"), "").unwrap();
    let error = staged.commit().unwrap_err();
    assert!(matches!(error, StoreError::Layer(LayerError::ReservedName { .. })), "{error:?}");
    assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
}

#[test]
fn the_deepest_tree_allowed_is_a_layer() {
    let (here, there) = (Place::new(), Place::new());
    let staged = here.store().begin_layer(None).unwrap();
    Root::open(staged.upper())
        .unwrap()
        .create_directories("d/".repeat(256), Permissions::root(0o755))
        .unwrap();
    let layer = staged.commit().unwrap().unwrap();
    assert_eq!(transfer(here.store(), &layer, there.store()), layer);
}

#[test]
fn a_tree_too_deep_for_a_layer_is_refused() {
    let place = Place::new();
    let staged = place.store().begin_layer(None).unwrap();
    let mut root = Root::open(staged.upper()).unwrap();
    for _ in 0..300 {
        root.entry("d").unwrap().create_directory(Permissions::root(0o755)).unwrap();
        root = root.subtree("d").unwrap();
    }
    let error = staged.commit().unwrap_err();
    assert!(matches!(error, StoreError::Layer(LayerError::TooDeep { .. })), "{error:?}");
    assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
}

#[test]
fn an_unchanged_upper_directory_is_no_layer() {
    let place = Place::new();
    assert!(place.store().begin_layer(None).unwrap().commit().unwrap().is_none());
    let staged = place.store().begin_layer(None).unwrap();
    Root::open(staged.upper()).unwrap().resolve("").unwrap().set_mode(0o700).unwrap();
    let parent = staged.commit().unwrap().unwrap();
    let staged = place.store().begin_layer(Some(&parent)).unwrap();
    let top = Root::open(staged.upper()).unwrap().resolve("").unwrap().metadata().unwrap();
    assert_eq!(top.permissions, Permissions::root(0o700), "the parent's top directory is taken over");
    assert!(staged.commit().unwrap().is_none());
    assert_eq!((place.count("ingest"), place.count("staging")), (1, 0));
}

#[test]
fn a_layer_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let staged = place.store().begin_layer(None).unwrap();
    fs::write(staged.upper().join("file"), "content").unwrap();
    drop(staged);
    assert_eq!((place.count("ingest"), place.count("staging"), place.count("layers")), (0, 0, 0));
}

#[test]
fn concurrent_builds_of_the_same_and_of_other_layers_do_not_disturb_each_other() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let place = &place;
            scope.spawn(move || {
                for round in 0..5 {
                    let content = format!("{}", if thread % 2 == 0 { round } else { thread * 100 + round });
                    place.image(&content, &format!("app{thread}:{round}"));
                }
            });
        }
    });
    assert_eq!(place.store().list().iter().map(|image| image.references.len()).sum::<usize>(), 20);
    assert!(place.store().check(false).unwrap().findings.is_empty());
    assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
}

/// One thing done to a tree.
#[derive(Debug, Clone)]
enum Step {
    Directory(String, u32),
    File(String, Vec<u8>, u32),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
    Attribute(String, Vec<u8>),
    Time(String, i64),
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[abc]|é|n{120}", 1..4).prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    let content = proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..9000);
    prop_oneof![
        (path(), 0u32..0o10000).prop_map(|(path, mode)| Step::Directory(path, mode)),
        (path(), content, 0u32..0o10000).prop_map(|(path, content, mode)| Step::File(path, content, mode)),
        (path(), "[./a-c]{1,130}").prop_map(|(path, target)| Step::Symlink(path, target)),
        (path(), path()).prop_map(|(path, existing)| Step::HardLink(path, existing)),
        path().prop_map(Step::Whiteout),
        path().prop_map(Step::Opaque),
        (path(), proptest::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(path, value)| Step::Attribute(path, value)),
        (path(), -(1i64 << 31)..1 << 34).prop_map(|(path, time)| Step::Time(path, time)),
    ]
}

/// Does what can be done: some steps find their path taken or missing.
fn apply(root: &Root, step: &Step) -> Result<(), homeostat_files::FileError> {
    match step {
        Step::Directory(path, mode) => {
            root.create_directories(path, Permissions { mode: *mode, uid: 1, gid: 2 })?;
        }
        Step::File(path, content, mode) => {
            root.create_file(path, Permissions::root(0o600))?.write_all(content).unwrap();
            root.entry(path)?.handle()?.set_mode(*mode)?;
        }
        Step::Symlink(path, target) => root.entry(path)?.symlink(Path::new(target))?,
        Step::HardLink(path, existing) => root.entry(path)?.hard_link(&root.entry(existing)?)?,
        Step::Whiteout(path) => {
            root.entry(path)?.make_node(NodeKind::CharacterDevice(0, 0), Permissions::root(0))?;
        }
        Step::Opaque(path) => {
            let handle = root.entry(path)?.handle()?;
            if handle.metadata()?.is_directory() {
                handle.set_xattr("trusted.overlay.opaque".as_ref(), b"y")?;
            }
        }
        Step::Attribute(path, value) => {
            root.entry(path)?.handle()?.set_xattr("trusted.note".as_ref(), value)?;
        }
        Step::Time(path, seconds) => {
            root.entry(path)?.handle()?.set_modified(Timestamp { seconds: *seconds, nanoseconds: 9 })?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_tree_comes_out_as_it_went_in(steps in proptest::collection::vec(step(), 1..40)) {
        let (here, there) = (Place::new(), Place::new());
        let staged = here.store().begin_layer(None).unwrap();
        let root = Root::open(staged.upper()).unwrap();
        for step in &steps {
            let _ = apply(&root, step);
        }
        let before = snapshot(&staged.upper());
        if let Some(layer) = staged.commit().unwrap() {
            let arrived = transfer(here.store(), &layer, there.store());
            prop_assert_eq!(&arrived, &layer);
            prop_assert_eq!(snapshot(&there.unpacked(&arrived)), before);
        }
    }
}
