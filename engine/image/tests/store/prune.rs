//! Pruning: what is needed stays, the rest goes.

use std::collections::BTreeSet;
use std::time::Duration;

use fs_err as fs;
use homeostat_image::{CacheEntry, Digest, Needs, Prune, Pruned, Unused};

use crate::support::{Place, configuration};

/// What is needed: references and ids.
struct Needed<'a>(&'a [&'a str], &'a [&'a Digest]);

impl Needs for Needed<'_> {
    fn in_use(&self) -> BTreeSet<Digest> {
        self.1.iter().map(|id| (*id).clone()).collect()
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        image.reference.is_some_and(|name| self.0.contains(&name))
    }
}

fn names(pruned: &Pruned) -> Vec<Option<&str>> {
    pruned.images.iter().map(|image| image.reference.as_deref()).collect()
}

fn now() -> Prune {
    Prune { now: jiff::Timestamp::now(), ..Prune::default() }
}

#[test]
fn images_that_are_wanted_or_used_stay_and_others_go() {
    let mut place = Place::new();
    let used = place.image("used", "app:used");
    place.image("kept", "app:kept");
    place.image("old", "app:old");
    place.image("overwritten", "app:new");
    place.image("new", "app:new");
    let ids = [&used];
    let needs = Needed(&["app:kept", "app:new"], &ids);

    let planned = place.store().prune(&Prune { dry_run: true, ..now() }, &needs).unwrap();
    assert_eq!(place.store().list().len(), 5);
    let done = place.store().prune(&now(), &needs).unwrap();
    assert_eq!(planned, done, "a dry run says what is then done");
    let mut gone = names(&done);
    gone.sort();
    assert_eq!((gone, done.layers), (vec![None, Some("app:old")], 2));
    assert!(done.images.iter().all(|image| image.bytes > 2000), "{done:?}");
    assert_eq!(done.bytes(), done.images.iter().map(|image| image.bytes).sum::<u64>());

    for _ in 0..2 {
        let names: BTreeSet<_> =
            place.store().list().into_iter().flat_map(|image| image.references).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["app:kept", "app:new", "app:used"]);
        assert!(place.store().check(false).unwrap().findings.is_empty());
        assert_eq!((place.count("layers"), place.count("blobs/sha256")), (3, 9));
        assert_eq!((place.count("ingest"), place.count("staging")), (0, 0));
        place.reopen_after(|_| {});
    }
    assert_eq!(place.store().prune(&now(), &needs).unwrap(), Pruned::default());
}

#[test]
fn a_layer_that_another_image_shares_stays() {
    let place = Place::new();
    let (shared, own) = (place.layer("shared"), place.layer("own"));
    let commit =
        |layers: &[_], name| place.store().commit_image(configuration(&[]), layers, Some(name)).unwrap();
    commit(std::slice::from_ref(&shared), "base");
    commit(&[shared.clone(), own.clone()], "app");
    place.store().prune(&now(), &Needed(&["base"], &[])).unwrap();
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
    let pruned = place.store().prune(&now(), &()).unwrap();
    assert_eq!((names(&pruned), pruned.layers, pruned.cache.len()), (vec![Some("app:other")], 1, 0));
    assert!(place.store().layer_directories(&image).unwrap()[0].exists());
    let layers = [image.layers[0].clone(), cached.layer.unwrap(), made];
    place.store().commit_image(configuration(&[]), &layers, None).unwrap();
    assert!(place.store().check(false).unwrap().findings.is_empty());
    drop(lease);
    let pruned = place.store().prune(&now(), &()).unwrap();
    assert_eq!((pruned.layers, pruned.cache.len()), (3, 1));
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
    let pruned = place.store().prune(&Prune { keep_cache_for: week, ..now() }, &()).unwrap();
    assert_eq!((pruned.layers, pruned.cache.len()), (1, 1));
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
    assert!(place.store().prune(&now(), &Needed(&["app:kept"], &[])).is_err());
    assert_eq!((place.count("layers"), place.count("blobs/sha256")), (2, 6));
}

/// Notes when each unused image was last used and what labels it has.
#[derive(Default)]
struct Witness(std::sync::Mutex<Vec<(Option<String>, jiff::Timestamp, usize)>>);

impl Needs for Witness {
    fn in_use(&self) -> BTreeSet<Digest> {
        BTreeSet::new()
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        let told = (image.reference.map(str::to_owned), image.used, image.labels.len());
        self.0.lock().unwrap().push(told);
        true
    }
}

fn age_manifest(place: &Place, reference: &str) {
    let image = place.store().find(reference).unwrap().unwrap();
    let file = fs::OpenOptions::new().write(true).open(place.blob(&image.manifest)).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

#[test]
fn the_last_use_of_an_image_is_known_also_after_an_opening() {
    let mut place = Place::new();
    let begin = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    let used = place.image("used", "app:used");
    for (content, name) in [("old", "app:old"), ("renamed", "app:renamed"), ("again", "app:again")] {
        place.image(content, name);
    }
    for name in ["app:used", "app:old", "app:renamed", "app:again"] {
        age_manifest(&place, name);
    }
    place.store().mark_used(&used);
    place.store().tag("app:renamed", "app:renamed-too").unwrap();
    place.image("again", "app:again");
    place.reopen_after(|_| {});
    let witness = Witness::default();
    assert_eq!(place.store().prune(&now(), &witness).unwrap(), Pruned::default());
    let mut told = witness.0.into_inner().unwrap();
    told.sort();
    let recent: Vec<_> =
        told.iter().filter(|(_, used, _)| *used >= begin).filter_map(|(name, ..)| name.as_deref()).collect();
    assert_eq!(recent, ["app:again", "app:renamed", "app:renamed-too", "app:used"]);
    assert_eq!(told.len(), 5);
}

#[test]
fn an_image_that_loses_its_name_counts_as_used_until_then_and_its_labels_are_told() {
    let place = Place::new();
    let layer = place.layer("labelled");
    place.store().commit_image(configuration(&[("keep", "yes")]), &[layer], Some("app:1")).unwrap();
    age_manifest(&place, "app:1");
    let begin = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    place.store().untag("app:1").unwrap();
    let witness = Witness::default();
    place.store().prune(&now(), &witness).unwrap();
    let told = witness.0.into_inner().unwrap();
    assert_eq!((told.len(), &told[0].0, told[0].2), (1, &None, 1));
    assert!(told[0].1 >= begin);
}

#[test]
fn what_is_shared_counts_once_and_a_name_beside_another_frees_nothing() {
    let place = Place::new();
    let (shared, own) = (place.layer("shared"), place.layer("own"));
    let commit =
        |layers: &[_], name| place.store().commit_image(configuration(&[]), layers, Some(name)).unwrap();
    commit(std::slice::from_ref(&shared), "a:1");
    commit(&[shared.clone(), own], "b:1");
    place.store().tag("a:1", "kept:1").unwrap();
    let pruned = place.store().prune(&now(), &Needed(&["kept:1"], &[])).unwrap();
    let bytes = |pruned: &Pruned, name| {
        pruned.images.iter().find(|image| image.reference.as_deref() == Some(name)).unwrap().bytes
    };
    assert_eq!(bytes(&pruned, "a:1"), 0);
    assert!(bytes(&pruned, "b:1") > 2000);
    let rest = place.store().prune(&now(), &()).unwrap();
    assert_eq!((names(&rest), rest.leftover), (vec![Some("kept:1")], 0));
    assert!(rest.bytes() > 2000);
}
