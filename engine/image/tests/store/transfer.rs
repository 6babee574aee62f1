//! Images as archives: what is saved can be loaded, and what nobody honest wrote cannot.

use std::io::Write as _;

use fs_err as fs;
use homeostat_image::{
    ArchiveError, ArchiveFormat, Digest, ImageStore, Limits, Load, LoadError, Loaded, Platform, Saved,
    StoreError,
};
use serde_json::json;

use crate::archive::Archive;
use crate::overlays::with_small_disk;
use crate::support::{Place, configuration};

fn save(place: &Place, names: &[&str], format: ArchiveFormat) -> Vec<u8> {
    let images: Vec<_> = names.iter().map(|name| place.store().find(name).unwrap().unwrap()).collect();
    let references: Vec<_> = names.iter().map(|name| vec![format!("docker.io/library/{name}")]).collect();
    let saved: Vec<_> =
        images.iter().zip(&references).map(|(image, references)| Saved { image, references }).collect();
    let mut archive = Vec::new();
    place.store().save(&saved, format, &mut archive).unwrap();
    archive
}

fn load(place: &Place, archive: &[u8]) -> Result<Vec<Loaded>, LoadError> {
    load_within(place, archive, Limits::default())
}

fn load_within(place: &Place, archive: &[u8], limits: Limits) -> Result<Vec<Loaded>, LoadError> {
    let name = |name: &str| (!name.contains("..")).then(|| name.to_owned());
    let platform = Platform { architecture: "amd64".to_owned(), variant: None };
    place.store().load(archive, &Load { platform, limits, name: &name })
}

/// Loads what must not be: nothing of it is there, and nothing is left.
fn refusal(archive: &[u8]) -> ArchiveError {
    let place = Place::new();
    let error = load(&place, archive).unwrap_err();
    assert_nothing(&place);
    match error {
        LoadError::Archive(error) => error,
        LoadError::Store(error) => panic!("{error:?}"),
    }
}

fn assert_nothing(place: &Place) {
    assert!(place.store().list().is_empty());
    for directory in ["blobs/sha256", "ingest", "staging"] {
        assert_eq!(place.count(directory), 0, "{directory}");
    }
    assert_eq!(fs::read_dir(place.directory.path()).unwrap().count(), 1);
}

/// The entries of an archive, in their order.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut read = tar::Archive::new(archive);
    let entries = read.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    });
    entries.collect()
}

/// Makes an archive of them again.
fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let add = |archive: Archive, (path, content): &(String, Vec<u8>)| match path.strip_suffix('/') {
        Some(directory) => archive.directory(directory),
        None => archive.entry(b'0', path, "", content),
    };
    entries.iter().fold(Archive::default(), add).end()
}

/// A docker archive of one image, as Docker wrote it before version 25: a directory for each layer.
struct Old {
    layer: Vec<u8>,
    config: Vec<u8>,
}

impl Old {
    fn new() -> Self {
        Self::with("content")
    }

    fn with(content: &str) -> Self {
        let layer = Archive::default().file("file", content).end();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
        });
        Self { layer, config: serde_json::to_vec(&config).unwrap() }
    }

    fn config_name(&self) -> String {
        format!("{}.json", Digest::of(&self.config).hex())
    }

    fn manifest(&self, layer: &str) -> Vec<u8> {
        let image = json!({"Config": self.config_name(), "RepoTags": ["app:1"], "Layers": [layer]});
        serde_json::to_vec(&[image]).unwrap()
    }

    /// Everything but the layer.
    fn begin(&self, layer: &str) -> Archive {
        let archive = Archive::default().entry(b'0', &self.config_name(), "", &self.config);
        archive.entry(b'0', "manifest.json", "", &self.manifest(layer))
    }
}

#[test]
fn what_is_saved_is_loaded_with_its_id_and_name_in_both_formats() {
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let (from, to) = (Place::new(), Place::new());
        let id = from.image("content", "app:1");
        let shared = from.layer("content");
        let more = [shared, from.layer("more")];
        let other = from.store().commit_image(configuration(&[]), &more, Some("other:2")).unwrap();
        let archive = save(&from, &["app:1", "other:2"], format);
        let loaded = load(&to, &archive).unwrap();
        assert_eq!(
            loaded[0],
            Loaded { id: id.clone(), references: vec!["docker.io/library/app:1".to_owned()] }
        );
        assert_eq!(loaded[1].id, other);
        let image = to.store().find("docker.io/library/other:2").unwrap().unwrap();
        let directories = to.store().layer_directories(&image).unwrap();
        assert_eq!(fs::read_to_string(directories[0].join("file")).unwrap(), "more");
        assert!(to.store().check(false).unwrap().findings.is_empty());
        // The same bytes come out again, and loading them once more changes nothing.
        let names = ["docker.io/library/app:1", "docker.io/library/other:2"];
        let images = names.map(|name| to.store().find(name).unwrap().unwrap());
        let references = names.map(|name| vec![name.to_owned()]);
        let saved = [0, 1].map(|place| Saved { image: &images[place], references: &references[place] });
        let mut again = Vec::new();
        to.store().save(&saved, format, &mut again).unwrap();
        assert!(again == archive);
        load(&to, &archive).unwrap();
        assert_eq!((to.store().list().len(), to.count("ingest"), to.count("staging")), (2, 0, 0));
    }
}

#[test]
fn a_docker_archive_has_plain_layers_under_their_diff_ids() {
    let place = Place::new();
    place.image("content", "app:1");
    let layer = place.layer("content");
    let entries = entries(&save(&place, &["app:1"], ArchiveFormat::Docker));
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["oci-layout", "index.json", "manifest.json"]);
    let (_, manifest) = &entries[2];
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "docker.io/library/app:1");
    let path = format!("blobs/sha256/{}", layer.diff_id.hex());
    assert_eq!(manifest[0]["Layers"][0], path.as_str());
    let (_, content) = entries.iter().find(|(name, _)| *name == path).unwrap();
    assert_eq!(Digest::of(content), layer.diff_id);
}

#[test]
fn archives_are_loaded_compressed_or_not_and_with_compressed_layers() {
    let old = Old::new();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let plain = old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer).end();
    let packed = old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &gzip(&old.layer)).end();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for archive in [&plain, &packed, &gzip(&plain), &zstd] {
        let place = Place::new();
        let loaded = load(&place, archive).unwrap();
        assert_eq!(loaded, [Loaded { id: Digest::of(&old.config), references: vec!["app:1".to_owned()] }]);
        let image = place.store().find("app:1").unwrap().unwrap();
        assert_eq!(image.layers[0].diff_id, Digest::of(&old.layer));
        assert!(place.store().check(false).unwrap().findings.is_empty());
    }
}

#[test]
fn a_layer_that_is_a_link_to_another_within_the_archive_is_found() {
    let old = Old::new();
    let archive = old.begin("b/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer);
    let place = Place::new();
    load(&place, &archive.symlink("b/layer.tar", "../a/layer.tar").end()).unwrap();
    let error = refusal(&old.begin("b/layer.tar").symlink("b/layer.tar", "../c/layer.tar").end());
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
    let around = old.begin("a/x").symlink("a/x", "y").symlink("a/y", "x").end();
    assert!(matches!(refusal(&around), ArchiveError::Missing { .. }));
}

#[test]
fn paths_and_links_that_lead_out_are_refused() {
    let old = Old::new();
    let whole = || old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer);
    for path in ["../evil", "a/../../evil", "/evil", "a/..", "a/../b"] {
        let error = refusal(&whole().file(path, "x").end());
        assert!(matches!(error, ArchiveError::Escapes { .. }), "{path}: {error}");
    }
    for target in ["../../store.lock", "/etc/passwd", "../../../x"] {
        let error = refusal(&whole().symlink("a/link", target).end());
        assert!(matches!(error, ArchiveError::Escapes { .. }), "{target}: {error}");
    }
    // A link in place of the layer: the host's file is not read.
    let error = refusal(&old.begin("a/layer.tar").symlink("a/layer.tar", "/etc/hostname").end());
    assert!(matches!(error, ArchiveError::Escapes { .. }), "{error}");
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let old = Old::new();
    for kind in [b'1', b'3', b'4', b'6'] {
        let error = refusal(&old.begin("a/layer.tar").entry(kind, "a/layer.tar", "manifest.json", b"").end());
        assert!(matches!(error, ArchiveError::NotAFile { .. }), "{}: {error}", char::from(kind));
    }
    // The layer is a directory.
    let error = refusal(&old.begin("a/layer.tar").directory("a/layer.tar").end());
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
    // A document that is to be a layer at the same time.
    let config = old.config_name();
    let error = load(&Place::new(), &old.begin(&config).end()).unwrap_err();
    assert!(matches!(error, LoadError::Store(_)), "no layer is in it: {error}");
}

#[test]
fn entries_of_one_name_are_refused() {
    let old = Old::new();
    let whole = || old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer);
    for archive in [
        whole().file("manifest.json", "[]"),
        whole().file("./manifest.json", "[]"),
        whole().symlink("a//layer.tar", "x"),
        whole().symlink("a/x", "y").file("a/x", ""),
    ] {
        let error = refusal(&archive.end());
        assert!(matches!(error, ArchiveError::Twice { .. }), "{error}");
    }
}

#[test]
fn other_content_than_was_promised_is_refused() {
    let old = Old::new();
    let other = Archive::default().file("file", "other").end();
    let error = refusal(&old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &other).end());
    assert!(matches!(error, ArchiveError::WrongDigest { .. }), "{error}");
    let renamed = Archive::default().entry(b'0', &old.config_name(), "", b"{}");
    let error = refusal(&renamed.entry(b'0', "manifest.json", "", &old.manifest("a")).end());
    assert!(matches!(error, ArchiveError::WrongDigest { .. }), "{error}");
    // Any blob of an OCI layout.
    let place = Place::new();
    place.image("content", "app:1");
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let good = entries(&save(&place, &["app:1"], format));
        for (number, (name, _)) in good.iter().enumerate() {
            if !name.starts_with("blobs/sha256/") || name.ends_with('/') {
                continue;
            }
            let mut bad = good.clone();
            bad[number].1.push(b' ');
            assert!(matches!(refusal(&archive(&bad)), ArchiveError::WrongDigest { .. }), "{name}");
            bad.remove(number);
            // Docker's own document does without the manifest.
            if format == ArchiveFormat::Oci {
                assert!(matches!(refusal(&archive(&bad)), ArchiveError::Missing { .. }), "{name}");
            }
        }
    }
}

#[test]
fn a_configuration_that_could_not_be_read_later_is_refused() {
    let mut old = Old::new();
    let mut config: serde_json::Value = serde_json::from_slice(&old.config).unwrap();
    config["config"]["Healthcheck"] = "now and then".into();
    old.config = serde_json::to_vec(&config).unwrap();
    let error = refusal(&old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer).end());
    assert!(matches!(error, ArchiveError::Document { .. }), "{error}");
}

#[test]
fn a_manifest_that_the_store_could_not_list_is_refused() {
    let place = Place::new();
    place.image("content", "app:1");
    let mut bad = entries(&save(&place, &["app:1"], ArchiveFormat::Oci));
    let manifest =
        bad.iter_mut().find(|(_, text)| text.starts_with(b"{") && has(text, b"\"layers\"")).unwrap();
    let text = String::from_utf8(manifest.1.clone()).unwrap();
    manifest.1 = text.replace("oci.image.manifest.v1", "oci.image.manifest.v9").into_bytes();
    let (old, new) = (Digest::of(text.as_bytes()), Digest::of(&manifest.1));
    manifest.0 = format!("blobs/sha256/{}", new.hex());
    let index = bad.iter_mut().find(|(name, _)| name == "index.json").unwrap();
    index.1 = String::from_utf8(index.1.clone()).unwrap().replace(old.hex(), new.hex()).into_bytes();
    let error = refusal(&archive(&bad));
    assert!(matches!(error, ArchiveError::Document { .. }), "{error}");
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn sizes_that_are_not_as_announced_are_refused() {
    let place = Place::new();
    place.image("content", "app:1");
    let mut bad = entries(&save(&place, &["app:1"], ArchiveFormat::Oci));
    let index = bad.iter_mut().find(|(name, _)| name == "index.json").unwrap();
    let mut read: serde_json::Value = serde_json::from_slice(&index.1).unwrap();
    read["manifests"][0]["size"] = 7.into();
    index.1 = serde_json::to_vec(&read).unwrap();
    assert!(matches!(refusal(&archive(&bad)), ArchiveError::WrongSize { announced: 7, .. }));
}

#[test]
fn an_archive_that_is_cut_off_or_none_is_refused() {
    let place = Place::new();
    place.image("content", "app:1");
    let good = save(&place, &["app:1"], ArchiveFormat::Docker);
    for length in [1, 700, good.len() / 2, good.len() - 1800] {
        refusal(&good[..length]);
    }
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&good).unwrap();
        encoder.finish().unwrap()
    };
    refusal(&gzip[..gzip.len() / 2]);
    assert!(matches!(refusal(b""), ArchiveError::NotImages));
    assert!(matches!(refusal(&Archive::default().file("hello", "x").end()), ArchiveError::NotImages));
    assert!(matches!(
        refusal(&Archive::default().file("manifest.json", "[]").end()),
        ArchiveError::NotImages
    ));
    for text in ["", "{", "[{}]", "[[[", "null"] {
        let error = refusal(&Archive::default().file("manifest.json", text).end());
        assert!(matches!(error, ArchiveError::Document { .. }), "{text}: {error}");
    }
}

#[test]
fn an_archive_without_room_is_refused_with_numbers_before_the_disk_is_full() {
    with_small_disk("size=8m", |disk| {
        let store = ImageStore::open(disk.join("store")).unwrap();
        let free = store.free_space().unwrap();
        for (size, what) in [(5 << 20, "unpacked"), (9 << 20, "a file of the archive")] {
            let old = Old::with(&"x".repeat(size));
            let archive = old.begin("one/layer.tar").entry(b'0', "one/layer.tar", "", &old.layer).end();
            let platform = Platform { architecture: "amd64".to_owned(), variant: None };
            let load =
                Load { platform, limits: Limits::default(), name: &|name: &str| Some(name.to_owned()) };
            match store.load(archive.as_slice(), &load) {
                Err(LoadError::Store(error @ StoreError::NoRoom { .. })) => {
                    assert!(error.to_string().contains(what), "{error}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(store.free_space().unwrap(), free, "nothing of it is left");
        }
    });
}

#[test]
fn an_archive_that_is_too_large_is_refused() {
    let old = Old::new();
    let archive = old.begin("a/layer.tar").entry(b'0', "a/layer.tar", "", &old.layer).end();
    let place = Place::new();
    for limits in [Limits { bytes: 100, ..Limits::default() }, Limits { entries: 1, ..Limits::default() }] {
        let error = load_within(&place, &archive, limits).unwrap_err();
        assert!(matches!(error, LoadError::Archive(ArchiveError::TooLarge { .. })), "{error}");
        assert_nothing(&place);
    }
    let large = Archive::default().entry(b'0', "manifest.json", "", &vec![b' '; 5 << 20]).end();
    assert!(matches!(refusal(&large), ArchiveError::TooLarge { .. }));
}

#[test]
fn one_bad_image_keeps_all_from_being_loaded_and_names_are_checked() {
    let old = Old::new();
    let good = json!({"Config": old.config_name(), "RepoTags": ["app:1"], "Layers": ["a"]});
    for bad in [
        json!({"Config": old.config_name(), "RepoTags": ["../app:1"], "Layers": ["a"]}),
        json!({"Config": "nothing.json", "RepoTags": [], "Layers": ["a"]}),
        json!({"Config": old.config_name(), "RepoTags": null, "Layers": ["a", "a"]}),
    ] {
        let manifest = serde_json::to_vec(&[good.clone(), bad]).unwrap();
        let archive = Archive::default()
            .entry(b'0', &old.config_name(), "", &old.config)
            .entry(b'0', "manifest.json", "", &manifest)
            .entry(b'0', "a", "", &old.layer);
        refusal(&archive.end());
    }
}

#[test]
fn the_image_of_an_index_that_is_for_this_host_is_taken() {
    let (from, to) = (Place::new(), Place::new());
    let id = from.image("content", "app:1");
    let mut entries = entries(&save(&from, &["app:1"], ArchiveFormat::Oci));
    let index = entries.iter().position(|(name, _)| name == "index.json").unwrap();
    let read: serde_json::Value = serde_json::from_slice(&entries[index].1).unwrap();
    let mut ours = read["manifests"][0].clone();
    ours["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let mut strange = ours.clone();
    strange["platform"]["architecture"] = "s390x".into();
    strange["digest"] = Digest::of(b"not here").as_str().into();
    let put = |entries: &mut Vec<(String, Vec<u8>)>, offered: serde_json::Value| {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let inner = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": offered});
        let inner = serde_json::to_vec(&inner).unwrap();
        let named = json!({
            "mediaType": media_type, "digest": Digest::of(&inner), "size": inner.len(),
            "annotations": {"org.opencontainers.image.ref.name": "many:1"},
        });
        let outer = json!({"schemaVersion": 2, "manifests": [named]});
        entries[index].1 = serde_json::to_vec(&outer).unwrap();
        entries.push((format!("blobs/sha256/{}", Digest::of(&inner).hex()), inner));
    };
    let mut only_strange = entries.clone();
    put(&mut only_strange, json!([strange]));
    assert!(matches!(refusal(&archive(&only_strange)), ArchiveError::NoPlatform { .. }));
    put(&mut entries, json!([strange, ours]));
    let loaded = load(&to, &archive(&entries)).unwrap();
    assert_eq!(loaded, [Loaded { id, references: vec!["many:1".to_owned()] }]);
}
