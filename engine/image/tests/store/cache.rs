//! The build cache: never more than what is really there.

use fs_err as fs;
use homeostat_image::{CacheEntry, Sharing};

use crate::support::Place;

#[test]
fn a_step_is_known_with_and_without_a_layer() {
    let mut place = Place::new();
    let entry =
        CacheEntry { layer: Some(place.layer("content")), created: "2024-05-06T07:08:09Z".parse().unwrap() };
    let empty = CacheEntry { layer: None, ..entry.clone() };
    place.store().cache_put("with ../ a layer", &entry).unwrap();
    place.store().cache_put("without", &empty).unwrap();
    place.store().settle().unwrap();
    for _ in 0..2 {
        assert_eq!(place.store().cache_get("with ../ a layer").unwrap(), entry);
        assert_eq!(place.store().cache_get("without").unwrap(), empty);
        assert_eq!(place.store().cache_get("never"), None);
        place.reopen_after(|_| {});
    }
}

#[test]
fn a_step_whose_layer_never_reached_the_disk_is_not_known() {
    let mut place = Place::new();
    let entry = CacheEntry { layer: Some(place.layer("content")), created: jiff::Timestamp::UNIX_EPOCH };
    place.store().cache_put("key", &entry).unwrap();
    place.reopen_after(|_| {});
    assert_eq!(place.store().cache_get("key"), None);
    assert_eq!(place.count("layers"), 0);
}

#[test]
fn a_damaged_entry_is_not_known() {
    let place = Place::new();
    let entry = CacheEntry { layer: None, created: jiff::Timestamp::UNIX_EPOCH };
    place.store().cache_put("key", &entry).unwrap();
    let path = fs::read_dir(place.path("cache")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&path).unwrap();
    for damaged in [&b""[..], &text[..text.len() / 2], &vec![0; text.len()]] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(place.store().cache_get("key"), None);
    }
}

#[test]
fn a_directory_is_kept_for_builds_and_pruned_by_its_last_use() {
    let place = Place::new();
    let store = place.store();
    let mode = homeostat_files::Permissions::root(0o711);
    let mount = |name: &str| store.cache_mount(name, Sharing::Shared, mode, &|| false).unwrap().unwrap();
    let path = {
        let mount = mount("/root/.cache");
        assert!(mount.is_new);
        mount.path.clone()
    };
    fs_err::write(path.join("kept"), "content").unwrap();
    let again = mount("/root/.cache");
    assert_eq!((&again.path, again.is_new), (&path, false));
    assert_ne!(mount("other").path, path);
    let hour = std::time::Duration::from_hours(1);
    let prune = |later: std::time::Duration, dry_run| {
        let now = jiff::Timestamp::now() + later;
        store.prune(&homeostat_image::Prune { keep_cache_for: hour, now, dry_run }, &()).unwrap().cache.len()
    };
    assert_eq!(prune(std::time::Duration::ZERO, false), 0);
    assert_eq!(prune(hour * 2, true), 2);
    assert!(path.join("kept").exists());
    let lease = store.lease();
    drop(mount("other"));
    assert_eq!(prune(hour * 2, false), 1);
    assert!(!path.exists());
    drop(lease);
    assert_eq!(prune(hour * 2, false), 1);
}
