//! What the agent remembers, and what becomes of a store that is damaged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use homeostat::store::SledStore;
use homeostat_reconciler::ports::{Event, EventKind, Store};
use homeostat_reconciler::{ContainerRecord, Desired, ErrorKind, Record};
use homeostat_spec::{App, Name, PruneKind, PrunePolicy, PruneRule};
use jiff::Timestamp;

fn open(directory: &Path) -> SledStore {
    let opened = SledStore::open(directory).unwrap();
    assert!(opened.moved_aside.is_none(), "the store is whole");
    opened.store
}

fn app(name: &str, description: String) -> (Name, App) {
    let name: Name = name.parse().unwrap();
    let app = App {
        name: name.clone(),
        file: format!("{name}.toml"),
        description: Some(description),
        images: BTreeMap::new(),
        containers: BTreeMap::new(),
        volumes: BTreeMap::new(),
        networks: BTreeMap::new(),
    };
    (name, app)
}

fn record(restarts: u64) -> Record {
    let mut record = Record::default();
    let container = ContainerRecord { restarts, ..ContainerRecord::default() };
    record.containers.insert("web/web".parse().unwrap(), container);
    record
}

fn applied(revision: &str, apps: &BTreeMap<Name, App>) -> Desired {
    Desired { revision: revision.to_owned(), apps: apps.clone(), ..Desired::default() }
}

fn prune() -> PrunePolicy {
    let rule = PruneRule::older_than(Duration::from_hours(1));
    PrunePolicy { rules: [(PruneKind::BuildCache, rule)].into(), ..PrunePolicy::default() }
}

fn event(number: usize) -> Event {
    let message = format!("event {number}");
    Event { time: Timestamp::UNIX_EPOCH, kind: EventKind::Applied, resource: None, message }
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    // Larger than a piece, so that it is cut.
    let apps = BTreeMap::from([app("web", "x".repeat(200_000)), app("db", "small".to_owned())]);
    {
        let store = open(directory.path());
        let mut applied = applied("abc", &apps);
        applied.prune = prune();
        store.save_applied(&applied).unwrap();
        store.save_record(&record(3)).unwrap();
        store.append_events(&[event(1), event(2)]).unwrap();
    }
    let store = open(directory.path());
    let stored = store.load().unwrap();
    assert_eq!(stored.revision.as_deref(), Some("abc"));
    assert_eq!(stored.apps, apps);
    assert_eq!(stored.prune, prune());
    assert_eq!(stored.record, record(3));
    assert_eq!(store.events(10).unwrap(), [event(1), event(2)]);
    assert_eq!(store.events(1).unwrap(), [event(2)]);
}

#[test]
fn a_store_that_is_in_use_is_not_taken_for_a_damaged_one() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    first.save_record(&record(3)).unwrap();
    let Err(error) = SledStore::open(directory.path()) else { panic!("it was opened twice") };
    assert_eq!(error.kind, ErrorKind::Transient);
    drop(first);
    assert_eq!(open(directory.path()).load().unwrap().record, record(3));
}

#[test]
fn a_snapshot_that_a_kill_left_half_written_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).save_record(&record(3)).unwrap();
    fs_err::write(directory.path().join("snap.0000000000000100.generating"), b"half").unwrap();
    assert_eq!(open(directory.path()).load().unwrap().record, record(3));
    assert!(!directory.path().join("snap.0000000000000100.generating").exists());
}

#[test]
fn an_app_that_is_gone_is_forgotten_and_a_shorter_one_leaves_no_rest() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let more = BTreeMap::from([app("web", "x".repeat(200_000)), app("web-2", String::new())]);
    store.save_applied(&applied("a", &more)).unwrap();
    let fewer = BTreeMap::from([app("web", "short".to_owned())]);
    store.save_applied(&applied("b", &fewer)).unwrap();
    assert_eq!(store.load().unwrap().apps, fewer);
}

#[test]
fn only_the_newest_events_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for chunk in 0..6 {
        let events: Vec<Event> = (chunk * 1000..(chunk + 1) * 1000).map(event).collect();
        store.append_events(&events).unwrap();
    }
    let kept = store.events(usize::MAX).unwrap();
    assert_eq!(kept.len(), 5000);
    assert_eq!(kept.first(), Some(&event(1000)));
    assert_eq!(kept.last(), Some(&event(5999)));
}

#[test]
fn a_damaged_store_is_moved_aside_and_a_new_one_is_begun() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    {
        let store = open(&directory);
        let apps = BTreeMap::from([app("web", "x".repeat(100_000))]);
        store.save_applied(&applied("abc", &apps)).unwrap();
    }
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.fill(0xa5),
        |bytes| bytes.truncate(bytes.len() / 3),
        |bytes| *bytes = b"garbage".to_vec(),
        |bytes| bytes.clear(),
    ];
    for damage in damages {
        let file = directory.join("db");
        let mut bytes = fs_err::read(&file).unwrap();
        damage(&mut bytes);
        fs_err::write(&file, &bytes).unwrap();
        let opened = SledStore::open(&directory).unwrap();
        let (aside, _) = opened.moved_aside.expect("the damage is noticed");
        assert!(aside.join("db").exists(), "the damaged store is kept");
        assert_eq!(opened.store.load().unwrap().revision, None);
        opened.store.save_applied(&applied("next", &BTreeMap::new())).unwrap();
        assert_eq!(opened.store.load().unwrap().revision.as_deref(), Some("next"));
    }
}
