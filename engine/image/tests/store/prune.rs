//! Pruning: what is needed stays, the rest goes.

use std::collections::BTreeSet;
use std::time::Duration;

use fs_err as fs;
use homeostat_image::{CacheEntry, Digest, Prune};

use crate::support::{Place, configuration};

fn keeping(references: &[&str], in_use: &[&Digest]) -> Prune {
    Prune {
        keep: references.iter().map(|name| (*name).to_owned()).collect(),
        in_use: in_use.iter().map(|id| (*id).clone()).collect(),
        ..Prune::default()
    }
}

#[test]
fn images_that_are_wanted_or_used_stay_and_others_go() {
    let mut place = Place::new();
    let used = place.image("used", "app:used");
    place.image("kept", "app:kept");
    place.image("old", "app:old");
    place.image("overwritten", "app:new");
    place.image("new", "app:new");
    let request = keeping(&["app:kept", "app:new"], &[&used]);

    let planned = place.store().prune(&Prune { dry_run: true, ..request.clone() }).unwrap();
    assert_eq!(place.store().list().len(), 5);
    let done = place.store().prune(&request).unwrap();
    assert_eq!(planned, done, "a dry run says what is then done");
    assert_eq!((done.references, done.layers), (vec!["app:old".to_owned()], 2));
    assert!(done.bytes > 4000);

    for _ in 0..2 {
        let names: BTreeSet<_> =
            place.store().list().into_iter().flat_map(|image| image.references).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["app:kept", "app:new", "app:used"]);
        assert!(place.store().check(false).unwrap().findings.is_empty());
        assert_eq!((place.count("layers"), place.count("blobs/sha256")), (3, 9));
        assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
        place.reopen_after(|_| {});
    }
    assert_eq!(place.store().prune(&request).unwrap(), homeostat_image::Pruned::default());
}

#[test]
fn a_layer_that_another_image_shares_stays() {
    let place = Place::new();
    let (shared, own) = (place.layer("shared"), place.layer("own"));
    let commit =
        |layers: &[_], name| place.store().commit_image(configuration(&[]), layers, Some(name)).unwrap();
    commit(std::slice::from_ref(&shared), "base");
    commit(&[shared.clone(), own.clone()], "app");
    place.store().prune(&keeping(&["base"], &[])).unwrap();
    assert!(place.unpacked(&shared).exists() && place.blob(&shared.digest).exists());
    assert!(!place.unpacked(&own).exists() && !place.blob(&own.digest).exists());
}

#[test]
fn what_is_used_during_a_lease_stays_until_it_ends() {
    let place = Place::new();
    place.image("found", "app:found");
    place.image("not asked for", "app:other");
    let cached = CacheEntry { layer: Some(place.layer("cached")), created: jiff::Timestamp::UNIX_EPOCH };
    place.store().cache_put("key", &cached).unwrap();
    let lease = place.store().lease();
    let image = place.store().find("app:found").unwrap().unwrap();
    let made = place.layer("made");
    assert!(place.store().cache_get("key").is_some());
    let pruned = place.store().prune(&Prune::default()).unwrap();
    assert_eq!(
        (pruned.references, pruned.layers, pruned.cache_entries),
        (vec!["app:other".to_owned()], 1, 0)
    );
    assert!(place.store().layer_directories(&image).unwrap()[0].exists());
    let layers = [image.layers[0].clone(), cached.layer.unwrap(), made];
    place.store().commit_image(configuration(&[]), &layers, None).unwrap();
    assert!(place.store().check(false).unwrap().findings.is_empty());
    drop(lease);
    let pruned = place.store().prune(&Prune::default()).unwrap();
    assert_eq!((pruned.layers, pruned.cache_entries), (3, 1));
    assert_eq!((place.count("layers"), place.count("blobs/sha256"), place.count("ingest")), (0, 0, 0));
}

#[test]
fn cache_entries_stay_as_long_as_they_are_used() {
    let place = Place::new();
    for name in ["recent", "old"] {
        let entry = CacheEntry { layer: Some(place.layer(name)), created: jiff::Timestamp::UNIX_EPOCH };
        place.store().cache_put(name, &entry).unwrap();
    }
    let week = Duration::from_hours(7 * 24);
    for file in fs::read_dir(place.path("cache")).unwrap() {
        let file = fs::OpenOptions::new().write(true).open(file.unwrap().path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * week).unwrap();
    }
    assert!(place.store().cache_get("recent").is_some());
    let pruned = place.store().prune(&Prune { keep_cache_for: week, ..Prune::default() }).unwrap();
    assert_eq!((pruned.layers, pruned.cache_entries), (1, 1));
    assert!(place.store().cache_get("recent").is_some());
    assert!(place.store().cache_get("old").is_none());
}

#[test]
fn nothing_is_pruned_while_nobody_knows_what_an_image_needs() {
    let place = Place::new();
    place.image("kept", "app:kept");
    place.image("old", "app:old");
    let kept = place.store().find("app:kept").unwrap().unwrap();
    let mut place = place;
    place.reopen_after(|store| fs::write(store.join("blobs/sha256").join(kept.id.hex()), "damaged").unwrap());
    assert!(place.store().prune(&keeping(&["app:kept"], &[])).is_err());
    assert_eq!((place.count("layers"), place.count("blobs/sha256")), (2, 6));
}
