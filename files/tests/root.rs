//! Promises of `Root`: nothing outside of the tree is ever changed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use homeostat_files::{FileKind, NodeKind, Permissions, Root, Timestamp, remove_tree};
use std::io::Write as _;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A tree `inside` beside an `outside` that must never change.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("inside")).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        Self { directory }
    }

    fn inside(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join("inside").join(path)
    }

    fn outside(&self) -> std::path::PathBuf {
        self.directory.path().join("outside")
    }

    fn root(&self) -> Root {
        Root::open(self.inside("")).unwrap()
    }

    fn assert_outside_is_untouched(&self) {
        let names: Vec<_> =
            fs::read_dir(self.outside()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(fs::read_to_string(self.outside().join("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(self.directory.path()).unwrap().count(), 2);
    }
}

#[test]
fn dots_and_absolute_paths_stay_inside() {
    let place = Place::new();
    let root = place.root();
    for (number, path) in ["../../x0", "/x1", "/../x2", "./../x3"].iter().enumerate() {
        root.create_file(path, Permissions::root(0o644)).unwrap();
        assert!(place.inside(&format!("x{number}")).is_file(), "{path}");
    }
    assert!(root.entry("..").is_err());
    assert!(root.entry("/").is_err());
    assert!(root.open_to_read("../outside/secret").is_err());
    place.assert_outside_is_untouched();
}

#[test]
fn links_that_leave_the_tree_resolve_inside_it() {
    let place = Place::new();
    symlink(place.outside(), place.inside("absolute")).unwrap();
    symlink("../outside", place.inside("relative")).unwrap();
    symlink("/proc/self/cwd", place.inside("magic")).unwrap();
    let root = place.root();
    assert!(root.create_file("absolute/evil", Permissions::root(0o644)).is_err());
    assert!(root.create_file("relative/evil", Permissions::root(0o644)).is_err());
    assert!(root.open_to_read("relative/secret").is_err());
    assert!(root.resolve("magic").is_err());
    root.create_directories("relative/made", Permissions::root(0o755)).unwrap();
    assert!(place.inside("outside/made").is_dir());
    root.create_directories("absolute", Permissions::root(0o755)).unwrap();
    root.create_file("absolute/file", Permissions::root(0o644)).unwrap();
    assert!(root.remove("relative").unwrap());
    place.assert_outside_is_untouched();
}

#[test]
fn directories_are_created_along_links_and_dead_links() {
    let place = Place::new();
    fs::create_dir(place.inside("real")).unwrap();
    symlink("real", place.inside("link")).unwrap();
    symlink("/new/deep", place.inside("dead")).unwrap();
    symlink("loop", place.inside("loop")).unwrap();
    fs::write(place.inside("file"), "").unwrap();
    let root = place.root();
    let permissions = Permissions { mode: 0o2750, uid: 12, gid: 34 };
    root.create_directories("link/a/b", permissions).unwrap();
    root.create_directories("dead/c", permissions).unwrap();
    root.create_directories("", permissions).unwrap();
    assert_eq!(root.metadata("real/a/b").unwrap().unwrap().permissions, permissions);
    assert_eq!(root.metadata("new/deep/c").unwrap().unwrap().permissions, permissions);
    assert!(root.create_directories("loop/x", permissions).is_err());
    assert!(root.create_directories("file/x", permissions).is_err());
    assert!(root.create_directories("file", permissions).is_err());
}

#[test]
fn every_kind_of_file_keeps_what_it_is_given() {
    let place = Place::new();
    let root = place.root();
    let setuid = Permissions { mode: 0o4755, uid: 7, gid: 8 };
    root.create_file("file", setuid).unwrap().write_all(b"content").unwrap();
    root.entry("link").unwrap().symlink(Path::new("/nowhere")).unwrap();
    root.entry("second").unwrap().hard_link(&root.entry("file").unwrap()).unwrap();
    root.entry("null").unwrap().make_node(NodeKind::CharacterDevice(1, 3), Permissions::root(0o666)).unwrap();
    root.entry("pipe").unwrap().make_node(NodeKind::Fifo, Permissions::root(0o600)).unwrap();

    let file = root.entry("file").unwrap().handle().unwrap();
    file.set_permissions(setuid).unwrap();
    file.set_xattr("user.note".as_ref(), b"value").unwrap();
    let time = Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    file.set_modified(time).unwrap();
    assert_eq!(file.xattr_names().unwrap(), ["user.note"]);
    assert_eq!(file.xattr("user.note".as_ref()).unwrap().unwrap(), b"value");
    assert_eq!(file.xattr("user.none".as_ref()).unwrap(), None);
    let metadata = file.metadata().unwrap();
    assert_eq!(
        (metadata.permissions, metadata.modified, metadata.links, metadata.size),
        (setuid, time, 2, 7)
    );

    let link = root.entry("link").unwrap().handle().unwrap();
    link.set_permissions(Permissions { mode: 0o777, uid: 3, gid: 4 }).unwrap();
    link.set_modified(time).unwrap();
    link.set_xattr("trusted.note".as_ref(), b"on the link").unwrap();
    let metadata = root.symlink_metadata("link").unwrap().unwrap();
    assert_eq!((metadata.kind, metadata.permissions.uid, metadata.modified), (FileKind::Symlink, 3, time));
    assert_eq!(link.read_link().unwrap(), Path::new("/nowhere"));
    assert_eq!(root.metadata("link").unwrap(), None);

    let pipe = root.entry("pipe").unwrap().handle().unwrap();
    pipe.set_xattr("trusted.note".as_ref(), b"on the pipe").unwrap();
    assert!(pipe.open_to_read().is_err(), "a pipe is never opened");
    assert_eq!(root.metadata("null").unwrap().unwrap().represents, (1, 3));
    assert_eq!(root.read_directory("/").unwrap(), ["file", "link", "null", "pipe", "second"]);
    assert!(root.create_file("link", setuid).is_err(), "an existing link is not followed");
    assert!(!place.inside("nowhere").exists());
}

#[test]
fn a_name_that_flips_between_directory_and_link_never_leads_outside() {
    let place = Place::new();
    fs::create_dir(place.inside("honest")).unwrap();
    symlink(place.outside(), place.inside("evil")).unwrap();
    fs::create_dir(place.inside("flip")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let evil = place.inside("evil");
            let flip = place.inside("flip");
            while !done.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, &evil, rustix::fs::CWD, &flip, exchange).unwrap();
            }
        });
        let root = place.root();
        let mut created = 0;
        for number in 0..3000 {
            let path = format!("flip/file{number}");
            created += u32::from(root.create_file(&path, Permissions::root(0o600)).is_ok());
            let _ = root.create_directories(format!("flip/directory{number}"), Permissions::root(0o700));
            let _ = root.remove("flip/secret");
            let _ = root.remove(&path);
        }
        done.store(true, Ordering::Relaxed);
        assert!(created > 0);
    });
    place.assert_outside_is_untouched();
}

#[test]
fn removal_follows_no_link_and_says_what_it_did() {
    let place = Place::new();
    fs::create_dir_all(place.inside("tree/a/b")).unwrap();
    symlink(place.outside(), place.inside("tree/a/out")).unwrap();
    symlink(place.outside(), place.inside("direct")).unwrap();
    assert!(remove_tree(place.inside("tree")).unwrap());
    assert!(!remove_tree(place.inside("tree")).unwrap());
    assert!(!remove_tree(place.inside("not/there")).unwrap());
    assert!(remove_tree(place.inside("direct")).unwrap());
    assert_eq!(fs::read_dir(place.inside("")).unwrap().count(), 0);
    place.assert_outside_is_untouched();
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let place = Place::new();
    let mut root = place.root();
    for _ in 0..3000 {
        root.entry("directory").unwrap().create_directory(Permissions::root(0o755)).unwrap();
        root.create_file("file", Permissions::root(0o644)).unwrap();
        root = root.subtree("directory").unwrap();
    }
    assert!(remove_tree(place.inside("directory")).unwrap());
    assert!(!place.inside("directory").exists());
}
