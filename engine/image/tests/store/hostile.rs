//! Layers that want to reach out of their directory, or to break the host in other ways.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_image::{Layer, Limits, StoreError, UnpackError};

use proptest::prelude::*;

use crate::archive::Archive;
use crate::snapshot::snapshot;
use crate::support::Place;

/// A store, and beside it what a hostile layer would like to change.
struct Target {
    place: Place,
    before: Vec<String>,
}

impl Target {
    fn new() -> Self {
        let place = Place::new();
        let victim = place.directory.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("secret"), "secret").unwrap();
        // What a path that climbs out of `layers/HEX/diff` or `staging/N/diff` would meet.
        fs::write(place.path("secret"), "secret").unwrap();
        let before = snapshot(&victim);
        Self { place, before }
    }

    fn victim(&self) -> PathBuf {
        self.place.directory.path().join("victim")
    }

    fn import(&self, archive: &[u8]) -> Result<Layer, UnpackError> {
        self.import_within(archive, Limits::default())
    }

    fn import_within(&self, archive: &[u8], limits: Limits) -> Result<Layer, UnpackError> {
        let result = self.place.store().import_layer(archive, limits);
        assert_eq!(snapshot(&self.victim()), self.before, "something outside was changed");
        assert_eq!(fs::read_to_string(self.place.path("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(self.place.directory.path()).unwrap().count(), 2);
        assert_eq!(self.place.count("staging"), 0, "something was left behind");
        result.map_err(|error| match error {
            StoreError::Unpack(error) => error,
            other => panic!("{other:?}"),
        })
    }

    fn unpacked(&self, archive: &[u8]) -> PathBuf {
        self.place.unpacked(&self.import(archive).unwrap())
    }
}

#[test]
fn paths_with_dots_are_refused() {
    let target = Target::new();
    for path in ["../secret", "../../../secret", "a/../../secret", "..", "./..", "/../secret", "a/.."] {
        let archive = Archive::default().directory("a").file(path, "evil").end();
        assert!(matches!(target.import(&archive), Err(UnpackError::Escapes { .. })), "{path}");
        let archive = Archive::default().directory(path).end();
        assert!(matches!(target.import(&archive), Err(UnpackError::Escapes { .. })), "{path}");
    }
}

#[test]
fn absolute_paths_land_in_the_layer() {
    let target = Target::new();
    let archive = Archive::default().file("/etc/passwd", "inside").file("//etc//./shadow", "inside").end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::read_to_string(layer.join("etc/passwd")).unwrap(), "inside");
    assert_eq!(fs::read_to_string(layer.join("etc/shadow")).unwrap(), "inside");
}

#[test]
fn nothing_is_written_through_a_link_that_leads_out() {
    let target = Target::new();
    let absolute = target.victim();
    for link in [absolute.to_str().unwrap(), "../../../../victim", "../../..", "/", "/proc/self/cwd", "self"]
    {
        for kind in *b"0123567" {
            let archive = Archive::default()
                .symlink("self", link)
                .entry(kind, "self/secret", "x", b"")
                .file("after", "")
                .end();
            let _ = target.import(&archive);
            let archive =
                Archive::default().symlink("a", link).symlink("a/b", "..").file("a/b/secret", "evil").end();
            let _ = target.import(&archive);
        }
    }
    let archive = Archive::default().symlink("top", "/").file("top/inside", "content").end();
    assert_eq!(fs::read_to_string(target.unpacked(&archive).join("inside")).unwrap(), "content");
}

#[test]
fn a_link_is_replaced_by_what_comes_after_it_not_followed() {
    let target = Target::new();
    let secret = target.victim().join("secret");
    let archive = Archive::default().symlink("a", secret.to_str().unwrap()).file("a", "new").end();
    let layer = target.unpacked(&archive);
    assert!(fs::symlink_metadata(layer.join("a")).unwrap().is_file());
    let archive = Archive::default()
        .symlink("link", target.victim().to_str().unwrap())
        .hard_link("hard", "link")
        .file("hard", "new")
        .directory("link")
        .file("link/secret", "mine")
        .end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::read_to_string(layer.join("link/secret")).unwrap(), "mine");
}

#[test]
fn what_lies_in_a_directory_with_the_name_of_a_whiteout_is_refused_and_what_aufs_noted_is_left_out() {
    let target = Target::new();
    for path in [".wh.a/b", "a/.wh.b/c", "a/.wh./c"] {
        let archive = Archive::default().file(path, "").end();
        assert!(matches!(target.import(&archive), Err(UnpackError::ReservedName { .. })), "{path}");
    }
    let archive = Archive::default()
        .directory(".wh..wh.plnk")
        .file(".wh..wh.plnk/5.7", "note")
        .file("a/.wh..wh..opqx/b/c", "note")
        .file("file", "content")
        .end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::read_dir(&layer).unwrap().count(), 1);
    target.place.store().settle().unwrap();
    assert!(target.place.store().check(false).unwrap().findings.is_empty());
}

#[test]
fn directories_that_links_lead_to_have_the_times_of_the_archive_and_its_limits() {
    let target = Target::new();
    let archive = Archive::default()
        .symlink("dead", "made/../also/made")
        .file("dead/file", "")
        .directory("real")
        .symlink("link", "/real")
        .directory("link/inside")
        .file("link/inside/file", "")
        .file("link", "instead")
        .end();
    let layer = target.unpacked(&archive);
    let modified = |path: &str| fs::symlink_metadata(layer.join(path)).unwrap().mtime();
    for (path, time) in [
        ("made", 0),
        ("also", 0),
        ("also/made", 0),
        ("also/made/file", 1_600_000_000),
        ("real/inside", 1_600_000_000),
        ("real", 1_600_000_000),
    ] {
        assert_eq!(modified(path), time, "{path}");
    }
    target.place.store().settle().unwrap();
    assert!(target.place.store().check(false).unwrap().findings.is_empty());
    let links = ["a", "b", "c", "d", "e", "f", "g"];
    let deep = links.windows(2).fold(Archive::default(), |archive, pair| {
        archive.symlink(pair[0], &format!("{}/", pair[1]).repeat(45))
    });
    let deep = deep.file("a/file", "");
    assert!(matches!(target.import(&deep.end()), Err(UnpackError::TooLarge { .. })));
    let around = Archive::default().symlink("a", "b").symlink("b", "a").file("a/file", "").end();
    assert!(matches!(target.import(&around), Err(UnpackError::NotADirectory { .. })));
}

#[test]
fn a_capability_of_no_bytes_is_left_out() {
    let target = Target::new();
    let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", b"")];
    target.import(&Archive::default().pax(&records).file("file", "").end()).unwrap();
    target.place.store().settle().unwrap();
    assert!(target.place.store().check(false).unwrap().findings.is_empty());
}

#[test]
fn hard_links_reach_only_files_of_the_layer() {
    let target = Target::new();
    let secret = target.victim().join("secret");
    for link in [secret.to_str().unwrap(), "missing", "a/secret"] {
        let archive = Archive::default()
            .symlink("a", target.victim().to_str().unwrap())
            .hard_link("mine", link)
            .file("mine", "evil")
            .end();
        assert!(matches!(target.import(&archive), Err(UnpackError::File(_))), "{link}");
    }
    for link in ["../../../victim/secret", "..", "/", ""] {
        let archive = Archive::default().hard_link("mine", link).end();
        assert!(matches!(target.import(&archive), Err(UnpackError::Escapes { .. })), "{link}");
    }
}

#[test]
fn whiteouts_reach_only_the_layer() {
    let target = Target::new();
    let victim = target.victim();
    for path in ["../.wh.secret", ".wh..", ".wh.", ".wh...", "a/.wh..."] {
        let archive = Archive::default().file(path, "").end();
        let result = target.import(&archive);
        assert!(matches!(result, Err(UnpackError::Escapes { .. })), "{path} {result:?}");
    }
    for path in ["a/.wh.secret", "a/.wh..wh..opq"] {
        let archive = Archive::default().symlink("a", victim.to_str().unwrap()).file(path, "").end();
        let _ = target.import(&archive);
    }
}

#[test]
fn overlay_attributes_and_security_labels_of_an_archive_are_left_out() {
    let target = Target::new();
    let archive = Archive::default()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/../../victim"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"system_u:object_r:shadow_t:s0"),
            ("SCHILY.xattr.user.kept", b"yes"),
        ])
        .directory("a")
        .end();
    let text = snapshot(&target.unpacked(&archive)).join("\n");
    assert!(!text.contains("overlay") && !text.contains("selinux"), "{text}");
    assert!(text.contains("user.kept"), "{text}");
    let root = homeostat_files::Root::open(target.unpacked(&archive)).unwrap();
    assert_eq!(root.resolve("a").unwrap().xattr("trusted.overlay.redirect".as_ref()).unwrap(), None);
}

#[test]
fn the_last_of_several_entries_of_one_name_wins() {
    let target = Target::new();
    let archive = Archive::default()
        .directory("a/b")
        .file("a/b/c", "first")
        .file("a", "a file now")
        .symlink("a", "elsewhere")
        .directory("a")
        .file("a/d", "last")
        .file("d", "once")
        .file("d", "twice")
        .hard_link("d", "d")
        .end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::read_to_string(layer.join("a/d")).unwrap(), "last");
    assert!(!layer.join("a/b").exists());
    assert_eq!(fs::read_to_string(layer.join("d")).unwrap(), "twice");
}

#[test]
fn the_size_of_an_extended_header_counts_whatever_the_header_says() {
    let target = Target::new();
    // Whoever believes the header's size reads the smuggled entry.
    let smuggled = Archive::default().file("smuggled", "evil").cut(1024);
    let archive = Archive::default()
        .pax(&[("size", smuggled.len().to_string().as_bytes())])
        .raw(b'0', b"outer", b"", 0, &smuggled)
        .file("after", "content")
        .end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::read(layer.join("outer")).unwrap(), smuggled);
    assert!(!layer.join("smuggled").exists());
    let archive = Archive::default()
        .pax(&[("size", b"0")])
        .raw(b'0', b"outer", b"", 4096, b"")
        .file("after", "content")
        .end();
    let layer = target.unpacked(&archive);
    assert_eq!(fs::metadata(layer.join("outer")).unwrap().len(), 0);
    assert_eq!(fs::read_to_string(layer.join("after")).unwrap(), "content");
    // A link, a device or a directory has no content, whatever size it claims.
    let archive = Archive::default()
        .raw(b'2', b"link", b"x", 512, b"")
        .raw(b'5', b"directory", b"", 1 << 40, b"")
        .file("after", "content")
        .end();
    assert!(target.unpacked(&archive).join("after").exists());
}

#[test]
fn damaged_archives_are_refused() {
    let target = Target::new();
    let whole = Archive::default().file("a", "content").file("b", "content").end();
    for length in [1, 511, 513, 600, 1000, 1100, 1536 + 512 - 1] {
        assert!(matches!(target.import(&whole[..length]), Err(UnpackError::Malformed { .. })), "{length}");
    }
    for at in [0, 100, 124, 148, 200] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert!(matches!(target.import(&damaged), Err(UnpackError::Malformed { .. })), "{at}");
    }
    let not_a_tar = vec![b'x'; 4096];
    assert!(matches!(target.import(&not_a_tar), Err(UnpackError::Malformed { .. })));
    for records in [&[("size", &b"-1"[..])][..], &[("size", b"18446744073709551615")], &[("mtime", b"now")]] {
        let archive = Archive::default().pax(records).file("a", "").end();
        assert!(matches!(target.import(&archive), Err(UnpackError::Malformed { .. })), "{records:?}");
    }
    let huge = Archive::default().raw(b'x', b"pax", b"", 1 << 40, b"").end();
    assert!(matches!(target.import(&huge), Err(UnpackError::Malformed { .. })));
    let top = Archive::default().symlink("./", "/etc").end();
    assert!(matches!(target.import(&top), Err(UnpackError::Malformed { .. })));
    for unsupported in
        [Archive::default().entry(b'S', "a", "", b""), Archive::default().entry(b'!', "a", "", b"")]
    {
        assert!(matches!(target.import(&unsupported.end()), Err(UnpackError::Unsupported { .. })));
    }
    let sparse = Archive::default().pax(&[("GNU.sparse.major", b"1")]).file("a", "").end();
    assert!(matches!(target.import(&sparse), Err(UnpackError::Unsupported { .. })));
    let zero = Archive::default().pax(&[("path", b"a\0b")]).file("a", "").end();
    assert!(matches!(target.import(&zero), Err(UnpackError::Escapes { .. })));
}

#[test]
fn layers_larger_than_allowed_are_refused() {
    let target = Target::new();
    let limits = Limits { bytes: 1000, entries: 10 };
    let too_large = |archive: Vec<u8>| {
        matches!(target.import_within(&archive, limits), Err(UnpackError::TooLarge { .. }))
    };
    assert!(!too_large(Archive::default().file("a", &"x".repeat(1000)).end()));
    assert!(too_large(Archive::default().file("a", &"x".repeat(500)).file("b", &"x".repeat(501)).end()));
    // Refused before its content is waited for.
    assert!(too_large(Archive::default().raw(b'0', b"a", b"", 1 << 50, b"").end()));
    let many = (0..11).fold(Archive::default(), |archive, number| archive.file(&format!("f{number}"), ""));
    assert!(too_large(many.end()));
    let parents = "a/".repeat(11);
    assert!(too_large(Archive::default().directory(&parents).end()), "parents count");
    let deep = "a/".repeat(300);
    let archive = Archive::default().pax(&[("path", deep.as_bytes())]).directory("a").end();
    assert!(matches!(target.import(&archive), Err(UnpackError::TooLarge { .. })));
    let long = "a".repeat(5000);
    let archive = Archive::default().pax(&[("path", long.as_bytes())]).file("a", "").end();
    assert!(matches!(target.import(&archive), Err(UnpackError::Malformed { .. })));
}

#[test]
fn devices_and_setuid_programs_stay_what_they_are_and_out_of_reach() {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    let target = Target::new();
    let archive = Archive::default().entry(b'3', "dev/null", "", b"").entry(b'6', "pipe", "", b"").end();
    let layer = target.unpacked(&archive);
    let device = fs::metadata(layer.join("dev/null")).unwrap();
    assert!(device.file_type().is_char_device());
    assert_eq!(device.rdev(), rustix::fs::makedev(1, 3));
    assert!(fs::metadata(layer.join("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(fs::metadata(target.place.path("")).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn an_archive_that_ends_without_its_mark_is_read() {
    let target = Target::new();
    let archive = Archive::default().file("a", "content").cut(usize::MAX);
    assert!(Path::new(&target.unpacked(&archive)).join("a").exists());
}

/// An archive with something of everything, to be damaged.
fn rich() -> Vec<u8> {
    Archive::default()
        .directory("./")
        .pax(&[("path", b"directory/"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")])
        .directory("d")
        .file("directory/file", "content")
        .symlink("directory/link", "../../..")
        .hard_link("same", "directory/file")
        .entry(b'L', "././@LongLink", "", b"directory/long\0")
        .file("short", "x")
        .file(".wh.gone", "")
        .file("directory/.wh..wh..opq", "")
        .entry(b'3', "null", "", b"")
        .end()
}

/// Makes the checksums right again, so that what is wrong is met further on.
fn seal(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].copy_from_slice(b"        ");
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_to_an_archive_makes_it_reach_out(
        damages in proptest::collection::vec((any::<proptest::sample::Index>(), prop_oneof![
            any::<u8>(), Just(b'.'), Just(b'/'), Just(b'0'), Just(b'7'), Just(0)
        ]), 0..12),
        length in any::<proptest::sample::Index>(),
        cut in proptest::bool::weighted(0.2),
    ) {
        let target = Target::new();
        let mut archive = rich();
        for (at, byte) in damages {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        seal(&mut archive);
        if cut {
            archive.truncate(length.index(archive.len()));
        }
        let _ = target.import_within(&archive, Limits { bytes: 1 << 20, entries: 100 });
    }
}
