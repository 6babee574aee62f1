//! What every case is built from: a context with a bit of everything, and a base image with a shell.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::archives;
use crate::case::{self, Case};

/// When all files of a context were changed.
const MODIFIED: Duration = Duration::from_secs(1_000_000_000);

/// The programs of the base image.
const PROGRAMS: &[&str] = &[
    "sh", "cat", "chmod", "chown", "cp", "cut", "echo", "env", "false", "find", "grep", "head", "id", "ip",
    "ln", "ls", "mkdir", "mkfifo", "mknod", "mv", "printf", "pwd", "readlink", "rm", "rmdir", "sed", "seq",
    "setfattr", "sleep", "sort", "stat", "touch", "true", "wc",
];

/// Directories, files with their modes, and links of the context.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dir", 0o755),
    ("dir/sub", 0o750),
    ("dir/sub/deeper", 0o755),
    ("empty", 0o700),
    ("hard", 0o755),
    ("links", 0o755),
    ("many", 0o1777),
    ("merge/etc", 0o700),
    ("merge/var/run", 0o755),
    ("names", 0o755),
    ("other/sub", 0o755),
    ("src/app/cmd", 0o755),
    ("src/lib", 0o755),
];
const FILES: &[(&str, u32)] = &[
    ("a.txt", 0o644),
    ("b.txt", 0o600),
    ("c.md", 0o644),
    ("dir/c", 0o644),
    ("dir/sub/d", 0o640),
    ("dir/sub/deeper/e", 0o644),
    ("hard/one", 0o644),
    ("many/1", 0o644),
    ("many/2", 0o666),
    ("many/3.txt", 0o444),
    ("merge/etc/motd", 0o644),
    ("merge/var/run/pid", 0o644),
    ("names/with space", 0o644),
    ("names/[brackets]", 0o644),
    ("names/star*", 0o644),
    ("names/-dash", 0o644),
    ("names/$dollar", 0o644),
    ("names/\u{fc}mlaut", 0o644),
    ("names/.hidden", 0o644),
    ("other/c", 0o644),
    ("other/sub/f", 0o644),
    ("setuid", 0o4755),
    ("src/app/cmd/main.go", 0o644),
    ("src/app/go.mod", 0o644),
    ("src/lib/lib.go", 0o644),
    ("src/lib/lib_test.go", 0o644),
    ("tool", 0o755),
];
const LINKS: &[(&str, &str)] = &[
    ("dir/link", "c"),
    ("dir/sub/up", "../../a.txt"),
    ("links/absolute", "/etc/passwd"),
    ("links/directory", "../dir"),
    ("links/file", "../a.txt"),
    ("links/loop", "loop"),
    ("links/nowhere", "missing"),
    ("links/out", "../../../../etc"),
    ("links/through", "directory/sub"),
];

/// Writes the context of a case.
pub(crate) fn write(directory: &Path, tag: &str, case: &Case) {
    fs_err::create_dir(directory).unwrap();
    if case.ignore.is_some() {
        crate::ignores::write_tree(directory);
    } else {
        write_tree(directory);
    }
    for (path, content) in &case.files {
        let path = directory.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    if let Some(ignore) = &case.ignore {
        fs_err::write(directory.join(".dockerignore"), ignore).unwrap();
    }
    let parent = case::parent_tag(tag);
    let text = case
        .dockerfile
        .replace("FROM parent", &format!("FROM {parent}"))
        .replace("=parent ", &format!("={parent} "));
    fs_err::write(directory.join("Dockerfile"), text).unwrap();
    if let Some(parent) = &case.parent {
        fs_err::write(directory.join("Dockerfile.parent"), parent).unwrap();
    }
    set_times(directory);
}

fn write_tree(directory: &Path) {
    for (path, _) in DIRECTORIES {
        fs_err::create_dir_all(directory.join(path)).unwrap();
    }
    for (path, mode) in FILES {
        let file = directory.join(path);
        fs_err::write(&file, format!("{path}\n")).unwrap();
        fs_err::set_permissions(&file, PermissionsExt::from_mode(*mode)).unwrap();
    }
    for (path, target) in LINKS {
        symlink(target, directory.join(path)).unwrap();
    }
    fs_err::hard_link(directory.join("hard/one"), directory.join("hard/two")).unwrap();
    let tool = directory.join("tool");
    std::os::unix::fs::chown(&tool, Some(12), Some(13)).unwrap();
    xattr::set(&tool, "user.note", b"kept").unwrap();
    fs_err::File::create(directory.join("sparse")).unwrap().set_len(1 << 20).unwrap();
    for (name, bytes) in archives::all() {
        fs_err::File::create(directory.join(name)).unwrap().write_all(&bytes).unwrap();
    }
    for (path, mode) in DIRECTORIES {
        fs_err::set_permissions(directory.join(path), PermissionsExt::from_mode(*mode)).unwrap();
    }
}

/// Writes the Dockerfile and the files of the base image.
pub(crate) fn write_base(directory: &Path) {
    let root = directory.join("root");
    for path in ["bin", "etc", "old", "run", "tmp", "var"] {
        fs_err::create_dir_all(root.join(path)).unwrap();
    }
    fs_err::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for program in PROGRAMS {
        symlink("busybox", root.join("bin").join(program)).unwrap();
    }
    symlink("/run", root.join("var/run")).unwrap();
    symlink("var/link-to-nowhere/x", root.join("dangling")).unwrap();
    symlink("old", root.join("alias")).unwrap();
    fs_err::write(root.join("old/file"), "of the base\n").unwrap();
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nnumeric:x:70:70::/:/bin/sh\n";
    fs_err::write(root.join("etc/passwd"), passwd).unwrap();
    fs_err::write(root.join("etc/group"), "root:x:0:\nwww:x:34:\nlog:x:40:web\n").unwrap();
    fs_err::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    let text = "FROM scratch\nCOPY root /\nENV FROM_BASE=1\nLABEL of=base\n";
    fs_err::write(directory.join("Dockerfile"), text).unwrap();
    set_times(directory);
}

/// The innermost first: what is set inside a directory changes its time.
fn set_times(directory: &Path) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            set_times(&entry.path());
        } else if kind.is_file() {
            let file = std::fs::OpenOptions::new().append(true).open(entry.path()).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + MODIFIED).unwrap();
        } else {
            set_link_time(&entry.path());
        }
    }
    fs_err::File::open(directory)
        .unwrap()
        .into_parts()
        .0
        .set_modified(SystemTime::UNIX_EPOCH + MODIFIED)
        .unwrap();
}

fn set_link_time(path: &Path) {
    use nix::sys::stat::{UtimensatFlags, utimensat};
    use nix::sys::time::TimeSpec;
    let time = TimeSpec::from_duration(MODIFIED);
    utimensat(None, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}
