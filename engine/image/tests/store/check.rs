//! Damage: found, and mended from what is left.

use fs_err as fs;
use homeostat_image::{Limits, Problem};

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
    assert_eq!((report.images, report.layers, report.findings.len()), (1, 1, 0));
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
        assert_found_and_mended(&place, &Problem::Blob { diff_id: layer.diff_id.clone() });
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
