use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use fs_err as fs;

use crate::support::Host;

#[test]
fn files_and_directories_go_where_docker_puts_them() {
    let host = Host::with_base();
    host.write("a.txt", "a");
    host.write("b.txt", "b");
    host.write("dir/c", "c");
    host.write("dir/sub/d", "d");
    host.build(
        "FROM base\nCOPY a.txt /file\nCOPY a.txt /into/\nCOPY dir /contents\nCOPY dir /etc\nCOPY *.txt /wild/\n\
         COPY a.txt dir ./both/\nWORKDIR /w\nCOPY a.txt .\nCOPY [\"b.txt\", \"rel/x\"]\nCOPY dir/s?b /w2/\nCOPY . /all/\n",
    )
    .unwrap();
    let expected = [
        ("file", "a"),
        ("into/a.txt", "a"),
        ("contents/c", "c"),
        ("contents/sub/d", "d"),
        ("etc/c", "c"),
        ("wild/a.txt", "a"),
        ("wild/b.txt", "b"),
        ("both/a.txt", "a"),
        ("both/sub/d", "d"),
        ("w/a.txt", "a"),
        ("w/rel/x", "b"),
        ("w2/d", "d"),
        ("all/dir/sub/d", "d"),
    ];
    for (path, content) in expected {
        assert_eq!(host.read(path), content, "{path}");
    }
}

#[test]
fn owners_modes_times_and_links_are_kept_or_given() {
    let host = Host::with_base();
    host.write("dir/tool", "x");
    let tool = host.options.context.join("dir/tool");
    fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::os::unix::fs::chown(&tool, Some(12), Some(13)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&tool).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000)).unwrap();
    fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("/etc/passwd", host.options.context.join("dir/link")).unwrap();
    host.build("FROM base\nCOPY dir /own\nCOPY --chown=web --chmod=0600 dir/tool /web/new/\nCOPY --chown=5:www dir/tool /five\n")
        .unwrap();
    let own = fs::metadata(host.path("own/tool").unwrap()).unwrap();
    assert_eq!((own.uid(), own.gid(), own.mode() & 0o7777, own.mtime()), (0, 0, 0o4750, 1_000_000));
    assert_eq!(fs::read_link(host.path("own/link").unwrap()).unwrap().to_str(), Some("/etc/passwd"));
    let web = fs::metadata(host.path("web/new/tool").unwrap()).unwrap();
    assert_eq!((web.uid(), web.gid(), web.mode() & 0o7777), (33, 34, 0o600));
    assert_eq!(fs::metadata(host.path("web").unwrap()).unwrap().uid(), 33);
    let by_number = fs::metadata(host.path("five").unwrap()).unwrap();
    assert_eq!((by_number.uid(), by_number.gid()), (5, 34));
}

#[test]
fn a_copy_from_a_stage_keeps_owners() {
    let host = Host::with_base();
    host.write("a", "a");
    host.build("FROM base AS one\nCOPY --chown=web a /a\nFROM scratch\nCOPY --from=one /a /a\n").unwrap();
    assert_eq!(fs::metadata(host.path("a").unwrap()).unwrap().uid(), 33);
}

#[test]
fn links_of_the_context_lead_nowhere_outside() {
    let host = Host::with_base();
    symlink("/etc/hostname", host.options.context.join("absolute")).unwrap();
    symlink("../../../../../etc", host.options.context.join("up")).unwrap();
    host.write("inside/file", "in");
    symlink("inside/file", host.options.context.join("good")).unwrap();
    for line in ["COPY absolute /x", "COPY up/hostname /x", "COPY ../../../etc/hostname /x"] {
        let (text, error) = host.failure(&format!("FROM base\n{line}\n"));
        assert!(text.contains("there is no file"), "{text}");
        assert!(error.hint().unwrap().contains("context"));
    }
    host.build("FROM base\nCOPY good /x\nCOPY /inside/../inside/file /y\n").unwrap();
    assert_eq!((host.read("x"), host.read("y")), ("in".into(), "in".into()));
}

#[test]
fn links_of_the_image_lead_nowhere_outside() {
    let host = Host::with_base();
    let outside = host.outside("victim");
    fs::create_dir(&outside).unwrap();
    host.write("evil/placeholder", "");
    symlink(&outside, host.options.context.join("evil/absolute")).unwrap();
    symlink("../../../../../../../..", host.options.context.join("evil/up")).unwrap();
    host.write("a", "a");
    host.build("FROM base\nCOPY evil /\nCOPY a /absolute/a\nCOPY a /up/b\nWORKDIR /absolute/w\n").unwrap();
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
    let inside = outside.strip_prefix("/").unwrap();
    assert_eq!(host.read(inside.join("a").to_str().unwrap()), "a");
    assert_eq!(host.read("b"), "a");
}

#[test]
fn directories_behind_links_are_filled() {
    let host = Host::with_base();
    host.write("tree/var/run/pid", "1");
    host.write("link/x", "");
    symlink("/run", host.options.context.join("link/run")).unwrap();
    host.build("FROM base\nWORKDIR /run\nCOPY link /var/\nCOPY tree /\n").unwrap();
    assert_eq!(host.read("run/pid"), "1");
}

#[test]
fn what_dockerignore_leaves_out_is_not_there() {
    let host = Host::with_base();
    host.write("keep/a", "a");
    host.write("keep/secret", "s");
    host.write("gone/a", "a");
    host.write("gone/but/this", "t");
    host.write(".dockerignore", "**/secret\ngone\n!gone/but/this\nDockerfile*\n.dockerignore\n");
    symlink("secret", host.options.context.join("keep/alias")).unwrap();
    host.build("FROM base\nCOPY . /all\n").unwrap();
    let paths: Vec<_> = host.top_layer();
    assert_eq!(
        paths,
        ["all", "all/gone", "all/gone/but", "all/gone/but/this", "all/keep", "all/keep/a", "all/keep/alias"]
    );
    fs::remove_file(host.path("all").unwrap().join("keep/alias")).unwrap();
    let host = Host::with_base();
    host.write("keep/secret", "s");
    host.write(".dockerignore", "**/secret");
    symlink("secret", host.options.context.join("keep/alias")).unwrap();
    for line in ["COPY keep/secret /x", "COPY keep/alias /x"] {
        let (_, error) = host.failure(&format!("FROM base\n{line}\n"));
        assert_eq!(error.hint().as_deref(), Some("the .dockerignore file leaves it out"), "{line}");
    }
    host.write("Dockerfile.dockerignore", "nothing");
    host.build("FROM base\nCOPY keep/secret /x\n").unwrap();
}

#[test]
fn what_cannot_be_copied_is_said() {
    let host = Host::with_base();
    host.write("a", "a");
    host.write("b", "b");
    host.write("etc/passwd/x", "x");
    let cases = [
        ("COPY missing /x", "there is no file `missing` to copy"),
        ("COPY a b /x", "several files cannot be copied to the file `/x`"),
        ("COPY [ab] /x", "several files cannot be copied to the file `/x`"),
        ("COPY etc /etc", "`/etc/passwd` in the image is no directory"),
        ("COPY a /etc/passwd/x", "`/etc/passwd` in the image is no directory"),
        ("COPY --chown=nobody a /x", "the image has no user `nobody`"),
        ("ARG U=https://x/y\nADD $U /x", "cannot fetch `https://x/y`"),
    ];
    for (line, expected) in cases {
        let (text, _) = host.failure(&format!("FROM base\n{line}\n"));
        assert!(text.contains(expected), "{line}: {text}");
    }
}

#[test]
fn files_of_the_dockerfile_itself_are_copied() {
    let host = Host::with_base();
    host.build(
        "FROM base\nCOPY <<one <<\"two\" /d/\nit's $FROM_BASE\none\n$FROM_BASE\ntwo\nADD <<x /x\ny\nx\n",
    )
    .unwrap();
    assert_eq!(host.read("d/one"), "it's 1\n");
    assert_eq!(host.read("d/two"), "$FROM_BASE\n");
    assert_eq!(host.read("x"), "y\n");
}

#[test]
fn what_is_excluded_is_not_copied() {
    let host = Host::with_base();
    for path in ["dir/a.md", "dir/b.txt", "dir/sub/c.md", "dir/sub/d.txt", "x.md", "y.txt"] {
        host.write(path, path);
    }
    host.build("FROM base\nCOPY --exclude=*.md --exclude=sub/*.txt dir /one\n").unwrap();
    assert_eq!(host.top_layer(), ["one", "one/b.txt", "one/sub", "one/sub/c.md"]);
    host.build("FROM base\nARG E=**/*.md\nCOPY --exclude=$E dir *.md *.txt /two/\n").unwrap();
    assert_eq!(host.top_layer(), ["two", "two/b.txt", "two/sub", "two/sub/d.txt", "two/y.txt"]);
    let other = Host::with_base();
    let (text, _) = other.failure("FROM base\nCOPY --exclude=[ rootfs /x\n");
    assert!(text.contains("the pattern `[`"), "{text}");
}

#[test]
fn sources_keep_the_directories_that_they_are_in() {
    let host = Host::with_base();
    for path in ["a/b/c.txt", "a/d.txt", "x/c.txt", "x/y/z.md"] {
        host.write(path, path);
    }
    host.build("FROM base\nCOPY --parents a/b/c.txt x/y /one/\n").unwrap();
    assert_eq!(
        (host.read("one/a/b/c.txt"), host.read("one/x/y/z.md")),
        ("a/b/c.txt".into(), "x/y/z.md".into())
    );
    host.build("FROM base\nCOPY --parents a/./b/c.txt /two/\n").unwrap();
    assert_eq!(host.top_layer(), ["two", "two/b", "two/b/c.txt"]);
    host.build("FROM base\nCOPY --parents **/c.txt /three/\n").unwrap();
    assert_eq!(
        host.top_layer(),
        ["three", "three/a", "three/a/b", "three/a/b/c.txt", "three/x", "three/x/c.txt"]
    );
}

#[test]
fn an_archive_that_leads_out_of_its_directory_is_refused() {
    let host = Host::with_base();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..6].copy_from_slice(b"../out");
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, &b"x"[..]).unwrap();
    fs::write(host.options.context.join("evil.tar"), archive.into_inner().unwrap()).unwrap();
    let (text, _) = host.failure("FROM base\nADD evil.tar /deep/er/\n");
    assert!(text.contains("cannot unpack the archive `evil.tar`"), "{text}");
    host.build("FROM base\nADD --unpack=false evil.tar /deep/\n").unwrap();
    assert!(host.path("deep/evil.tar").is_some());
}
