//! Damage: found, and mended from what is left.

use fs_err as fs;
use homeostat_image::{CacheEntry, Digest, Finding, Limits, Problem};

use crate::archive::Archive;
use crate::snapshot::snapshot;
use crate::support::{Place, configuration};

/// Checks twice without and once with repair, and once more after it.
fn assert_found_and_mended(place: &Place, expected: &Problem) {
    for repair in [false, true] {
        let report = place.store().check(repair).unwrap();
        assert_eq!(report.findings.iter().map(|finding| &finding.problem).collect::<Vec<_>>(), [expected]);
        assert_eq!(report.is_sound(), repair);
    }
    assert!(place.store().check(false).unwrap().findings.is_empty());
    assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
}

#[test]
fn a_sound_store_has_no_findings() {
    let place = Place::new();
    place.image("content", "app");
    let report = place.store().check(false).unwrap();
    assert_eq!((report.images, report.layers, report.blobs, report.findings.len()), (1, 1, 3, 0));
}

#[test]
fn a_file_of_a_layer_that_lost_its_content_is_restored_in_place() {
    let place = Place::new();
    place.image("content", "app");
    let layer = place.store().find("app").unwrap().unwrap().layers[0].clone();
    let before = snapshot(&place.unpacked(&layer));
    // What a power cut does to layers elsewhere: names without content.
    fs::File::create(place.unpacked(&layer).join("file")).unwrap();
    assert_found_and_mended(&place, &Problem::Layer { diff_id: layer.diff_id.clone() });
    assert_eq!(snapshot(&place.unpacked(&layer)), before);
}

#[test]
fn a_layer_that_is_gone_is_restored_by_a_check_and_by_its_first_use() {
    let mut place = Place::new();
    place.image("content", "app");
    let image = place.store().find("app").unwrap().unwrap();
    let path = place.unpacked(&image.layers[0]);
    place.reopen_after(|_| fs::remove_dir_all(path.parent().unwrap()).unwrap());
    assert_found_and_mended(&place, &Problem::Layer { diff_id: image.layers[0].diff_id.clone() });
    place.reopen_after(|_| fs::remove_dir_all(path.parent().unwrap()).unwrap());
    let directories = place.store().layer_directories(&image).unwrap();
    assert_eq!(fs::read_to_string(directories[0].join("file")).unwrap(), "content");
    place.reopen_after(|_| {});
    assert!(place.store().check(false).unwrap().findings.is_empty());
}

#[test]
fn a_layers_blob_is_restored_from_its_files() {
    let place = Place::new();
    place.image("content", "app");
    let layer = place.store().find("app").unwrap().unwrap().layers[0].clone();
    for damage in [Some(&b"not it"[..]), None] {
        match damage {
            Some(bytes) => fs::write(place.blob(&layer.digest), bytes).unwrap(),
            None => fs::remove_file(place.blob(&layer.digest)).unwrap(),
        }
        assert_found_and_mended(
            &place,
            &Problem::Blob { digest: layer.digest.clone(), diff_id: layer.diff_id.clone() },
        );
    }
}

#[test]
fn a_layer_of_another_programs_archive_is_compared_with_that_archive() {
    let place = Place::new();
    // Unsorted, without its top and parents: not as this store writes it.
    let archive =
        Archive::default().file("z", "last").file("made/up/parents", "content").file("a", "first").end();
    let layer = place.store().import_layer(&archive[..], Limits::default()).unwrap();
    place.store().commit_image(configuration(&[]), std::slice::from_ref(&layer), Some("foreign")).unwrap();
    assert!(place.store().check(false).unwrap().findings.is_empty());
    fs::write(place.unpacked(&layer).join("made/up/parents"), "tampered").unwrap();
    assert_found_and_mended(&place, &Problem::Layer { diff_id: layer.diff_id });
}

type Damage<'a> = Box<dyn Fn(&Place) + 'a>;

#[test]
fn an_image_that_cannot_be_restored_is_forgotten_and_can_be_made_again() {
    let mut place = Place::new();
    let id = place.image("content", "app");
    let image = place.store().find("app").unwrap().unwrap();
    let damages: [Damage; 3] = [
        Box::new(|place| fs::write(place.blob(&image.id), "{}").unwrap()),
        Box::new(|place| fs::remove_file(place.blob(&image.manifest)).unwrap()),
        Box::new(|place| {
            fs::write(place.blob(&image.layers[0].digest), "gone").unwrap();
            fs::remove_dir_all(place.unpacked(&image.layers[0])).unwrap();
        }),
    ];
    for damage in damages {
        damage(&place);
        place.reopen_after(|_| {});
        assert!(!place.store().check(false).unwrap().is_sound());
        let report = place.store().check(true).unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert!(
            report.findings.iter().any(|finding| matches!(finding.problem, Problem::Image { .. })),
            "{report:?}"
        );
        assert!(place.store().find("app").unwrap().is_none());
        assert_eq!(place.image("content", "app"), id);
        assert!(place.store().check(false).unwrap().findings.is_empty());
    }
}

#[test]
fn a_damaged_index_is_restored_from_its_copy() {
    let mut place = Place::new();
    let id = place.image("content", "app");
    for damage in [&b""[..], b"{", b"[]", &[0; 300]] {
        place.reopen_after(|store| fs::write(store.join("index.json"), damage).unwrap());
        assert_eq!(place.store().find("app").unwrap().unwrap().id, id);
        assert!(place.path("index.json.damaged").exists());
    }
    place.reopen_after(|store| fs::remove_file(store.join("index.json")).unwrap());
    assert_eq!(place.store().find("app").unwrap().unwrap().id, id);
}

#[test]
fn a_store_with_no_index_left_starts_anew_and_keeps_its_layers_for_the_cache() {
    let mut place = Place::new();
    let id = place.image("content", "app");
    place.reopen_after(|store| {
        fs::write(store.join("index.json"), "torn").unwrap();
        fs::write(store.join("index.backup"), "torn").unwrap();
    });
    assert!(place.store().find("app").unwrap().is_none());
    assert_eq!(place.count("layers"), 1);
    assert_eq!(place.image("content", "app"), id);
}

#[test]
fn a_document_that_nobody_can_read_any_more_is_removed() {
    let place = Place::new();
    place.image("content", "app");
    let stray = place.path("blobs/sha256").join("a".repeat(64));
    fs::write(&stray, "what its name does not say").unwrap();
    let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    assert_found_and_mended(&place, &Problem::StrayBlob { digest });
    assert!(!stray.exists());
}

#[test]
fn an_entry_of_the_build_cache_that_cannot_be_used_is_removed() {
    let mut place = Place::new();
    place.image("content", "app");
    let layer = place.layer("of a step");
    let entry = CacheEntry { layer: Some(layer.clone()), created: jiff::Timestamp::UNIX_EPOCH };
    for key in ["whole", "damaged"] {
        place.store().cache_put(key, &entry).unwrap();
    }
    place.store().settle().unwrap();
    let file = place.path("cache").join(Digest::of(b"damaged").hex());
    fs::write(&file, "torn").unwrap();
    assert_found_and_mended(&place, &Problem::Cache { key: Digest::of(b"damaged").hex().to_owned() });
    assert_eq!((place.count("cache"), place.store().cache_get("whole")), (1, Some(entry)));
    // A start of the store does likewise, also with those whose layer is gone.
    let directory = place.unpacked(&layer);
    place.reopen_after(|_| {
        fs::write(&file, "torn").unwrap();
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    });
    assert_eq!(place.count("cache"), 0);
}

#[test]
fn an_index_that_is_not_the_one_in_use_is_written_anew() {
    let place = Place::new();
    place.image("content", "app");
    for file in ["index.json", "index.backup"] {
        let whole = fs::read(place.path(file)).unwrap();
        for damage in [None, Some(&b"{}"[..]), Some(&whole[..whole.len() / 2])] {
            match damage {
                Some(text) => fs::write(place.path(file), text).unwrap(),
                None => fs::remove_file(place.path(file)).unwrap(),
            }
            let reason = "the index on disk, or its copy, is not the one in use".to_owned();
            assert_found_and_mended(&place, &Problem::Index { reason });
            assert_eq!(fs::read(place.path(file)).unwrap(), whole);
        }
    }
}

#[test]
fn a_check_tells_of_an_index_that_was_damaged_before() {
    let mut place = Place::new();
    place.image("content", "app");
    place.reopen_after(|store| fs::write(store.join("index.json"), "torn").unwrap());
    let reason = "it was damaged when the store was opened, and lies in index.json.damaged".to_owned();
    assert_found_and_mended(&place, &Problem::Index { reason });
    assert!(!place.path("index.json.damaged").exists());
}

#[test]
fn index_and_copy_are_the_same_again_after_a_cut_between_the_two() {
    let mut place = Place::new();
    let id = place.image("content", "app");
    let before = fs::read(place.path("index.json")).unwrap();
    place.store().tag("app", "other").unwrap();
    place.reopen_after(|store| fs::write(store.join("index.json"), &before).unwrap());
    assert!(place.store().find("other").unwrap().is_none());
    assert!(place.store().check(false).unwrap().findings.is_empty());
    place.reopen_after(|store| fs::remove_file(store.join("index.json")).unwrap());
    assert_eq!(place.store().find("app").unwrap().unwrap().id, id);
    assert!(place.path("index.json").exists());
}

#[test]
fn a_layer_of_ones_own_that_is_damaged_with_its_archive_is_lost() {
    let place = Place::new();
    place.image("content", "app");
    let layer = place.store().find("app").unwrap().unwrap().layers[0].clone();
    fs::write(place.unpacked(&layer).join("file"), "contenT").unwrap();
    fs::write(place.blob(&layer.digest), "gone").unwrap();
    assert!(!place.store().check(false).unwrap().is_sound());
    assert!(place.store().check(true).unwrap().is_sound());
    assert!(place.store().find("app").unwrap().is_none());
    // Of somebody else's, nobody can say that its files are not those of its archive.
    let archive = Archive::default().file("z", "last").file("a", "first").end();
    let foreign = place.store().import_layer(&archive[..], Limits::default()).unwrap();
    let layers = std::slice::from_ref(&foreign);
    place.store().commit_image(configuration(&[]), layers, Some("foreign")).unwrap();
    fs::write(place.blob(&foreign.digest), "gone").unwrap();
    let report = place.store().check(true).unwrap();
    let problem = Problem::Blob { digest: foreign.digest.clone(), diff_id: foreign.diff_id };
    assert_eq!(report.findings, [Finding { problem, repaired: false }]);
    assert!(place.store().find("foreign").unwrap().is_some());
}

#[test]
fn files_that_a_layer_has_more_or_less_or_otherwise_are_damage() {
    let place = Place::new();
    place.image("content", "app");
    let layer = place.store().find("app").unwrap().unwrap().layers[0].clone();
    let damages: [fn(&std::path::Path); 4] = [
        |diff| fs::write(diff.join("more"), "").unwrap(),
        |diff| fs::remove_file(diff.join("file")).unwrap(),
        |diff| fs::write(diff.join("file"), "contenT").unwrap(),
        |diff| {
            fs::set_permissions(diff.join("file"), std::os::unix::fs::PermissionsExt::from_mode(0o4755))
                .unwrap();
        },
    ];
    for damage in damages {
        damage(&place.unpacked(&layer));
        assert_found_and_mended(&place, &Problem::Layer { diff_id: layer.diff_id.clone() });
    }
}
