//! Pruning: what an engine is asked for, and what it may take.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::Loop;
use homeostat_reconciler::fake::World;
use homeostat_reconciler::fake::specs::{app, app_with, build, container, desired, key, name, volume};
use homeostat_reconciler::ports::{PruneRequest, PrunedItem};
use homeostat_reconciler::{Desired, Record, build_reference, prune_by_hand, prune_policy, prune_request};
use homeostat_spec::{HostPrune, Image, PruneFilter, PruneKind, PrunePolicy, PruneRule};
use jiff::{SignedDuration, Timestamp};

const HOUR: Duration = Duration::from_hours(1);

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn later(hours: i64) -> Timestamp {
    start() + SignedDuration::from_hours(hours)
}

/// Everything that is an hour old.
fn all_kinds() -> PrunePolicy {
    let rules = PruneKind::ALL.map(|kind| (kind, PruneRule::older_than(HOUR)));
    PrunePolicy { rules: rules.into(), ..PrunePolicy::default() }
}

fn request(desired: &Desired, record: &Record, now: Timestamp) -> PruneRequest {
    prune_request(&all_kinds(), false, desired, record, now)
}

/// A host with images, a container that has exited, and a volume, none of which anybody declares.
fn litter() -> World {
    let mut world = World::at(start());
    for image in ["old:1", "used:1"] {
        world.bring_image(image).unwrap();
    }
    world.create_volume(&key("gone/data"));
    let config = container("used:1").config;
    world.create_container(&key("gone/job"), "used:1", &config).unwrap();
    world.start_container(&key("gone/job")).unwrap();
    world.exit(&key("gone/job"), Some(0));
    world
}

fn names(items: &[PrunedItem]) -> Vec<(PruneKind, &str)> {
    items.iter().map(|item| (item.kind, item.name.as_str())).collect()
}

fn not_retained() -> Record {
    Record { volumes_not_retained: [key("gone/data")].into(), ..Record::default() }
}

#[test]
fn what_nobody_needs_goes_once_it_is_old_enough() {
    let mut world = litter();
    let wanted = desired([app_with("web", [("web", container("web:1"))])]);
    world.advance_to(later(1) - SignedDuration::from_secs(1));
    assert_eq!(world.prune(&request(&wanted, &not_retained(), world.now())).items, []);
    world.advance_to(later(1));
    let request = request(&wanted, &not_retained(), world.now());
    let foreseen = world.prune(&PruneRequest { dry_run: true, ..request.clone() });
    assert_eq!(world.observe().images.len(), 2, "a dry run changes nothing");
    let pruned = world.prune(&request);
    assert_eq!(pruned, foreseen);
    let expected =
        [(PruneKind::Container, "gone/job"), (PruneKind::Image, "old:1"), (PruneKind::Volume, "gone/data")];
    assert_eq!(names(&pruned.items), expected);
    assert_eq!((pruned.bytes(), pruned.items[0].age_seconds), (1 << 20, 3600));
    assert_eq!(pruned.by_kind()[&PruneKind::Image], (1, 1 << 20));
    // Its container is gone just now.
    assert_eq!(world.observe().images.into_keys().collect::<Vec<_>>(), ["used:1"]);
}

#[test]
fn what_is_declared_stays_and_so_does_everything_of_a_broken_app() {
    let mut world = litter();
    world.advance_to(later(24));
    let mut declaring = app_with("gone", [("job", container("used:1")), ("next", container("old:1"))]);
    declaring.volumes.insert(name("data"), volume(false));
    let wanted = desired([declaring]);
    assert_eq!(world.prune(&request(&wanted, &not_retained(), world.now())).items, []);

    let built = build_reference(&name("gone"), &name("app"), &build("1"));
    world.bring_image(&built).unwrap();
    world.advance_to(later(48));
    let mut broken = desired([app_with("web", [("web", container("old:1"))])]);
    broken.broken.insert(name("gone"), "gone.toml".to_owned());
    assert_eq!(world.prune(&request(&broken, &not_retained(), world.now())).items, []);
}

#[test]
fn an_image_that_is_declared_as_a_build_stays_until_its_container_is_there() {
    let mut world = World::at(start());
    let mut web = app_with("web", [("web", container("unused"))]);
    web.images.insert(name("app"), Image::Build(build("1")));
    web.containers.get_mut(&name("web")).unwrap().image = homeostat_spec::ContainerImage::Local(name("app"));
    world.bring_image(&build_reference(&name("web"), &name("app"), &build("1"))).unwrap();
    world.advance_to(later(24));
    assert_eq!(world.prune(&request(&desired([web]), &Record::default(), world.now())).items, []);
}

#[test]
fn a_declared_image_stays_also_where_the_engine_spells_its_name_out() {
    let mut world = World::at(start());
    for name in ["docker.io/library/postgres:16", "docker.io/library/postgres:15"] {
        world.bring_image(name).unwrap();
    }
    world.advance_to(later(24));
    let wanted = desired([app_with("web", [("web", container("postgres:16"))])]);
    let pruned = world.prune(&request(&wanted, &Record::default(), world.now()));
    assert_eq!(names(&pruned.items), [(PruneKind::Image, "docker.io/library/postgres:15")]);
}

#[test]
fn a_volume_that_is_retained_never_goes() {
    let mut world = litter();
    world.advance_to(later(24));
    let wanted = desired([app("web")]);
    let pruned = world.prune(&request(&wanted, &Record::default(), world.now()));
    assert!(!names(&pruned.items).contains(&(PruneKind::Volume, "gone/data")), "{pruned:?}");
}

#[test]
fn an_empty_source_prunes_no_container_and_no_volume_unless_it_is_allowed() {
    let mut world = litter();
    world.advance_to(later(24));
    let mut nothing = Desired::default();
    let pruned = world.prune(&request(&nothing, &not_retained(), world.now()));
    assert_eq!(names(&pruned.items), [(PruneKind::Image, "old:1")]);
    nothing.allow_empty = true;
    let pruned = world.prune(&request(&nothing, &not_retained(), world.now()));
    assert_eq!(names(&pruned.items), [(PruneKind::Container, "gone/job"), (PruneKind::Volume, "gone/data")]);
}

#[test]
fn an_age_begins_anew_with_each_use_and_a_clock_that_is_set_back_makes_nothing_old() {
    let mut world = litter();
    world.advance_to(later(24));
    world.remove_container(&key("gone/job")).unwrap();
    let wanted = desired([app("web")]);
    let pruned = world.prune(&request(&wanted, &Record::default(), world.now()));
    assert_eq!(names(&pruned.items), [(PruneKind::Image, "old:1")]);
    world.bring_image("new:1").unwrap();
    world.advance_to(later(2));
    assert_eq!(world.prune(&request(&wanted, &Record::default(), world.now())).items, []);
}

#[test]
fn what_runs_stays_whatever_its_age() {
    let mut world = litter();
    world.start_container(&key("gone/job")).unwrap();
    world.advance_to(later(24));
    let wanted = desired([app("web")]);
    let pruned = world.prune(&request(&wanted, &Record::default(), world.now()));
    assert_eq!(names(&pruned.items), [(PruneKind::Image, "old:1")]);
}

#[test]
fn a_kind_without_a_rule_is_left_alone() {
    let mut world = litter();
    world.advance_to(later(24));
    let policy = PrunePolicy { rules: BTreeMap::new(), ..all_kinds() };
    let request = prune_request(&policy, false, &desired([app("web")]), &not_retained(), world.now());
    assert_eq!(world.prune(&request).items, []);
}

#[test]
fn a_host_wins_over_its_source() {
    let mut wanted = desired([app("web")]);
    wanted.prune.rules.insert(PruneKind::Image, PruneRule::older_than(24 * HOUR));
    let filter = Some(vec![PruneFilter::Dangling]);
    let rule = PruneRule { older_than: None, filter: filter.clone() };
    let policy = PrunePolicy {
        interval: Some(HOUR),
        rules: [(PruneKind::Image, rule)].into(),
        ..PrunePolicy::default()
    };
    let both = prune_policy(&wanted, &HostPrune { others: false, policy });
    assert_eq!(both.interval(), HOUR);
    assert_eq!(both.rules[&PruneKind::Image], PruneRule { older_than: Some(24 * HOUR), filter });
}

#[test]
fn without_a_policy_a_prune_by_hand_leaves_containers_and_volumes() {
    let mut world = litter();
    world.bring_image("just:now").unwrap();
    let request =
        prune_request(&prune_by_hand(), false, &desired([app("web")]), &not_retained(), world.now());
    let expected = [(PruneKind::Image, "just:now"), (PruneKind::Image, "old:1")];
    assert_eq!(names(&world.prune(&request).items), expected);
}

#[test]
fn what_it_takes_to_go_back_is_kept_until_the_next_change() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("web:1"))])]));
    agent.settle();
    let kept = |agent: &Loop| -> Vec<String> {
        let request = prune_request(&all_kinds(), false, &agent.desired, &agent.record, agent.world.now());
        request.keep.image_ids.into_iter().collect()
    };
    let change = |agent: &mut Loop, revision: &str, image: Option<&str>| {
        let app = image.map(|image| app_with("web", [("web", container(image))]));
        agent.desired = app.map_or_else(|| desired([app_with("other", [])]), |app| desired([app]));
        revision.clone_into(&mut agent.desired.revision);
        agent.settle();
    };
    change(&mut agent, "r2", Some("web:2"));
    assert_eq!(kept(&agent), ["sha256:web:1", "sha256:web:2"]);
    change(&mut agent, "r3", Some("web:2"));
    assert_eq!(kept(&agent), ["sha256:web:1", "sha256:web:2"], "its image is the same");
    change(&mut agent, "r4", Some("web:3"));
    assert_eq!(kept(&agent), ["sha256:web:2", "sha256:web:3"]);
    change(&mut agent, "r5", None);
    assert_eq!(kept(&agent), ["sha256:web:2", "sha256:web:3"], "this revision has removed it");
    change(&mut agent, "r6", None);
    assert_eq!(kept(&agent), Vec::<String>::new());
}
