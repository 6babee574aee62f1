//! Images: made, named, found, and still there after a crash.

use fs_err as fs;
use homeostat_image::{ImageStore, StoreError};

use crate::support::{Place, configuration};

#[test]
fn an_image_is_found_by_name_and_id_and_after_a_restart() {
    let mut place = Place::new();
    let id = place.image("content", "app:1");
    for _ in 0..2 {
        let image = place.store().find("app:1").unwrap().unwrap();
        assert_eq!(image.id, id);
        assert_eq!(image.references, ["app:1"]);
        assert_eq!(place.store().find(id.as_str()).unwrap().unwrap().manifest, image.manifest);
        let directories = place.store().layer_directories(&image).unwrap();
        assert_eq!(directories.len(), 1);
        assert_eq!(fs::read_to_string(directories[0].join("file")).unwrap(), "content");
        assert!(place.store().find("app:2").unwrap().is_none());
        assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
        place.reopen_after(|_| {});
    }
}

#[test]
fn a_store_is_opened_by_one_at_a_time_and_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    assert!(matches!(ImageStore::open(place.path("")), Err(StoreError::Locked(_))));
    assert_eq!(fs::metadata(place.path("")).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn the_same_configuration_has_the_same_id() {
    let place = Place::new();
    let layer = place.layer("content");
    let labels: Vec<(String, String)> =
        (0..50).map(|number| (format!("label{number}"), number.to_string())).collect();
    let borrowed: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let commit = || {
        place
            .store()
            .commit_image(configuration(&borrowed), std::slice::from_ref(&layer), Some("app"))
            .unwrap()
    };
    let first = commit();
    for _ in 0..5 {
        assert_eq!(commit(), first);
    }
    assert_eq!(place.store().list().len(), 1);
}

#[test]
fn names_move_and_go_and_the_image_stays() {
    let place = Place::new();
    let first = place.image("first", "app");
    place.store().tag("app", "app:stable").unwrap();
    let second = place.image("second", "app");
    let store = place.store();
    assert_eq!(store.find("app").unwrap().unwrap().id, second);
    assert_eq!(store.find("app:stable").unwrap().unwrap().id, first);
    assert_eq!(store.find(first.as_str()).unwrap().unwrap().references, ["app:stable"]);
    assert!(store.untag("app:stable").unwrap());
    assert!(!store.untag("app:stable").unwrap());
    assert!(store.find(first.as_str()).unwrap().unwrap().references.is_empty());
    store.tag(first.as_str(), "again").unwrap();
    assert_eq!(store.find(first.as_str()).unwrap().unwrap().references, ["again"]);
    assert_eq!(store.remove("again").unwrap(), ["again"]);
    assert!(store.find(first.as_str()).unwrap().is_none());
    assert_eq!(store.list().len(), 1);
    assert!(matches!(store.tag("nothing", "x"), Err(StoreError::NoSuchImage { .. })));
}
