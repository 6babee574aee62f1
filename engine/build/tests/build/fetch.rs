use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use homeostat_image::Digest;
use homeostat_reconciler::ErrorKind;

use crate::support::Host;

const URL: &str = "http://files.example/a%20b/page.html?raw=1";
const REPOSITORY: &str = "https://git.example/site.git";

#[test]
fn a_file_is_fetched_with_its_time_and_for_its_owner_alone() {
    let host = Host::with_base();
    host.web.serve(URL, b"hello", Some(1_000_000));
    host.build(&format!(
        "FROM base\nADD {URL} /named\nADD {URL} /into/\nADD --chown=web --chmod=640 {URL} /own"
    ))
    .unwrap();
    for (path, mode, owner) in [("named", 0o600, 0), ("into/page.html", 0o600, 0), ("own", 0o640, 33)] {
        let metadata = host.path(path).unwrap().metadata().unwrap();
        assert_eq!(host.read(path), "hello");
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.uid()), (mode, owner), "{path}");
        assert_eq!(metadata.mtime(), 1_000_000, "{path}");
    }
}

#[test]
fn a_file_without_a_time_is_as_old_as_can_be_and_one_without_a_name_has_one() {
    let host = Host::with_base();
    host.web.serve("https://files.example", b"x", None);
    host.build("FROM base\nARG WHERE=https://files.example\nADD $WHERE /into/").unwrap();
    assert_eq!(host.path("into/__unnamed__").unwrap().metadata().unwrap().mtime(), 0);
}

#[test]
fn what_a_url_gives_is_part_of_the_key() {
    let host = Host::with_base();
    let dockerfile = format!("FROM base\nADD {URL} /page");
    host.web.serve(URL, b"one", Some(1));
    let first = host.build(&dockerfile).unwrap();
    assert_eq!(host.build(&dockerfile).unwrap().id, first.id);
    // The same file with another time, then another file with the same.
    for (content, modified) in [(b"one", 2), (b"two", 2)] {
        host.web.serve(URL, content, Some(modified));
        let cached = host.build(&dockerfile).unwrap().cached;
        assert_eq!(cached, 1, "only FROM");
        assert_eq!(host.read("page").as_bytes(), content);
        assert_eq!(host.path("page").unwrap().metadata().unwrap().mtime(), modified);
    }
}

#[test]
fn with_a_checksum_nothing_is_fetched_that_the_cache_has_and_nothing_else_is_taken() {
    let host = Host::with_base();
    host.web.serve(URL, b"one", Some(1));
    let dockerfile =
        |of: &[u8]| format!("FROM base\nARG SUM={}\nADD --checksum=$SUM {URL} /page", Digest::of(of));
    let first = host.build(&dockerfile(b"one")).unwrap();
    assert_eq!(host.web.take_requests().len(), 1);
    let second = host.build(&dockerfile(b"one")).unwrap();
    assert_eq!((second.id, second.cached), (first.id, second.steps));
    assert!(host.web.take_requests().is_empty());
    host.store.remove("result").unwrap();

    let (text, error) = host.failure(&dockerfile(b"two"));
    assert!(text.contains("line 3") && text.contains(Digest::of(b"one").as_str()), "{text}");
    assert_eq!(error.kind(), ErrorKind::User);
    let (text, _) = host.failure(&format!("FROM base\nADD --checksum=sha256:1 {URL} /page"));
    assert!(text.contains("`sha256:1` is no SHA-256 digest of a file"), "{text}");
    let (text, _) = host.failure("FROM base\nARG WHERE=page\nADD --checksum=sha256:1 $WHERE /page");
    assert!(text.contains("`page` is no address"), "{text}");
}

#[test]
fn an_archive_that_is_fetched_is_unpacked_only_when_that_is_asked_for() {
    let host = Host::with_base();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    archive.append_data(&mut header, "inner", &b"in"[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    host.web.serve("https://files.example/a.tar", &archive, None);
    host.build(
        "FROM base\nADD https://files.example/a.tar /kept/\nADD --unpack=true https://files.example/a.tar /opened/",
    )
    .unwrap();
    assert_eq!(fs_err::read(host.path("kept/a.tar").unwrap()).unwrap(), archive);
    assert_eq!(host.read("opened/inner"), "in");
    assert!(host.path("opened/a.tar").is_none());
}

#[test]
fn what_cannot_be_fetched_names_its_address_and_says_who_can_help() {
    let host = Host::with_base();
    let (text, error) = host.failure("FROM base\nRUN true\nADD https://files.example/none /page");
    assert!(text.contains("line 3") && text.contains("cannot fetch `https://files.example/none`"), "{text}");
    assert_eq!((error.kind(), error.hint().as_deref()), (ErrorKind::Transient, Some("ask somebody else")));
}

#[test]
fn sources_of_all_kinds_keep_their_order() {
    let host = Host::with_base();
    host.write("page.html", "of the context");
    host.web.serve(URL, b"fetched", None);
    host.build(&format!("FROM base\nADD page.html {URL} /last/\nADD {URL} page.html /first/")).unwrap();
    assert_eq!(
        (host.read("last/page.html"), host.read("first/page.html")),
        ("fetched".into(), "of the context".into())
    );
}

#[test]
fn a_repository_is_known_by_its_commit() {
    let host = Host::with_base();
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    host.web.commit(REPOSITORY, &one, &[("page", "one"), ("sub/file", "deep")]);
    let dockerfile = format!("FROM base\nADD --chown=web {REPOSITORY} /site");
    let first = host.build(&dockerfile).unwrap();
    assert_eq!((host.read("site/page"), host.read("site/sub/file")), ("one".into(), "deep".into()));
    assert_eq!(host.path("site/sub").unwrap().metadata().unwrap().uid(), 33);
    assert_eq!(
        host.web.take_requests(),
        ["commit of https://git.example/site.git", "files of https://git.example/site.git"]
    );
    assert_eq!(host.build(&dockerfile).unwrap().id, first.id);
    assert_eq!(host.web.take_requests(), ["commit of https://git.example/site.git"]);

    host.web.commit(REPOSITORY, &two, &[("page", "two")]);
    host.build(&dockerfile).unwrap();
    assert_eq!(host.read("site/page"), "two");
    host.web.take_requests();
    host.build(&format!("FROM base\nADD --checksum={two} --chown=web {REPOSITORY} /site")).unwrap();
    assert!(host.web.take_requests().is_empty(), "the cache knows this commit");
    host.store.remove("result").unwrap();
    let (text, _) =
        host.failure(&format!("FROM base\nADD --checksum={one} --chown=1 {REPOSITORY}#main /site"));
    assert!(text.contains(&format!("gives {two}, and not {one}")), "{text}");
    let (text, _) = host.failure(&format!("FROM base\nADD --checksum=abc {REPOSITORY} /site"));
    assert!(text.contains("`abc` is no hash of a commit"), "{text}");
}
