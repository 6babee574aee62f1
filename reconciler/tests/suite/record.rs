//! How the record changes.

use std::time::Duration;

use homeostat_reconciler::fake::World;
use homeostat_reconciler::fake::specs::{app_with, container, desired, health, key, volume};
use homeostat_reconciler::ports::EventKind;
use homeostat_reconciler::{
    Desired, ErrorKind, HealthStatus, PortError, ProbeOutcome, Record, ResourceId, Stall, plan,
};
use homeostat_spec::{DesiredState, HealthCheck};
use jiff::Timestamp;

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn after(seconds: u64) -> Timestamp {
    start().checked_add(Duration::from_secs(seconds)).unwrap()
}

/// A running container with this health check, observed once.
fn running(check: Option<HealthCheck>) -> (World, Desired, Record) {
    let mut web = container("nginx");
    web.health = check;
    let desired = desired([app_with("web", [("web", web.clone())])]);
    let mut world = World::at(start());
    world.bring_image("nginx").unwrap();
    world.create_container(&key("web/web"), "nginx", &web.config).unwrap();
    world.start_container(&key("web/web")).unwrap();
    let mut record = Record::default();
    record.observe(&desired, &world.observe(), start());
    (world, desired, record)
}

#[test]
fn a_run_that_ended_is_counted_exactly_once() {
    let (mut world, desired, mut record) = running(None);
    world.advance_to(after(3));
    world.exit(&key("web/web"), Some(1));
    let events = record.observe(&desired, &world.observe(), after(3));
    assert_eq!((events[0].kind, events[0].message.as_str()), (EventKind::Exited, "exited with code 1"));
    let once = record.clone();
    assert!(record.observe(&desired, &world.observe(), after(4)).is_empty());
    assert_eq!(record, once);
    assert_eq!(record.containers[&key("web/web")].short_runs, 1);
}

#[test]
fn a_run_that_lasted_ends_a_series_of_short_ones() {
    let (mut world, desired, mut record) = running(None);
    record.containers.get_mut(&key("web/web")).unwrap().short_runs = 7;
    world.advance_to(after(9));
    record.observe(&desired, &world.observe(), after(9));
    assert_eq!(record.containers[&key("web/web")].short_runs, 7);
    world.advance_to(after(10));
    record.observe(&desired, &world.observe(), after(10));
    assert_eq!(record.containers[&key("web/web")].short_runs, 0);
}

#[test]
fn another_container_under_the_same_key_is_another_story() {
    let (mut world, desired, mut record) = running(Some(health()));
    record.containers.get_mut(&key("web/web")).unwrap().restarts = 7;
    world.exit(&key("web/web"), Some(1));
    world.remove_container(&key("web/web")).unwrap();
    world.create_container(&key("web/web"), "nginx", &container("nginx").config).unwrap();
    record.observe(&desired, &world.observe(), after(1));
    assert_eq!(record.containers[&key("web/web")].restarts, 0);
    assert_eq!(record.containers[&key("web/web")].started_as, None);
}

#[test]
fn what_runs_is_taken_for_what_is_wanted_when_the_record_is_lost() {
    let (_, _, record) = running(None);
    assert_eq!(record.containers[&key("web/web")].started_as, Some(DesiredState::Running));
}

#[test]
fn what_is_configured_otherwise_is_not_taken_for_a_run_of_what_is_wanted_now() {
    let (world, mut desired, _) = running(None);
    let wanted = desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap();
    wanted.config.read_only = true;
    let mut record = Record::default();
    record.observe(&desired, &world.observe(), start());
    assert_eq!(record.containers[&key("web/web")].started_as, None);
}

#[test]
fn what_failed_with_the_engine_is_tried_again_within_seconds_of_its_return_and_nothing_else() {
    let (_, desired, mut record) = running(None);
    let plan = plan(&desired, &World::at(start()).observe(), &record, start());
    let error = PortError::new(ErrorKind::Transient, "the engine cannot be reached");
    for _ in 0..9 {
        record.step_failed(&desired, &plan.steps[0], &error, start());
        record.step_failed(&desired, &plan.steps[1], &error, start());
    }
    let (with_it, before_it) = (&plan.steps[0].resource, &plan.steps[1].resource);
    let untouched = record.failures[before_it].clone();
    record.engine_is_back(&[with_it.clone()].into(), after(1));
    let failure = &record.failures[with_it];
    assert!(failure.retry_at > after(2) && failure.retry_at < after(7), "{failure:?}");
    assert_eq!((failure.attempts, &record.failures[before_it]), (9, &untouched));
}

#[test]
fn a_probe_that_told_nothing_counts_for_nothing_and_is_made_again_after_the_interval() {
    let (world, _, mut record) = running(Some(health()));
    let web = key("web/web");
    let before = record.containers[&web].health.status;
    for second in 1..9 {
        assert_eq!(record.probe_result(&web, &health(), ProbeOutcome::Unknown, after(second)), None);
    }
    let known = &record.containers[&web].health;
    assert_eq!((known.status, known.failures), (before, 0));
    let container = &world.observe().containers[&web];
    assert!(record.next_probe_at(&web, &health(), container).unwrap() > after(8));
}

#[test]
fn what_is_gone_is_forgotten() {
    let (mut world, desired, mut record) = running(None);
    let web = ResourceId::container(&key("web/web"));
    let plan = plan(&desired, &World::at(start()).observe(), &record, start());
    let error = PortError::new(ErrorKind::Transient, "no");
    record.step_failed(&desired, &plan.steps[0], &error, start());
    record.step_failed(&desired, &plan.steps[1], &error, start());
    record.stalls.insert(web, Stall { target: String::new(), fields: Vec::new(), times: 1 });
    world.exit(&key("web/web"), Some(0));
    world.remove_container(&key("web/web")).unwrap();
    world.remove_image("nginx").unwrap();
    record.observe(&Desired::default(), &world.observe(), after(1));
    assert_eq!(record, Record { images: record.images.clone(), ..Record::default() });
    // Going back may take its image until there is a further revision.
    let next = Desired { revision: "r3".to_owned(), ..Desired::default() };
    record.observe(&next, &world.observe(), after(2));
    assert_eq!(record, Record::default());
}

#[test]
fn a_failure_that_nobody_tried_again_is_forgotten_after_a_while() {
    let (world, desired, mut record) = running(None);
    let plan = plan(&desired, &World::at(start()).observe(), &record, start());
    record.step_failed(&desired, &plan.steps[0], &PortError::new(ErrorKind::Transient, "no"), start());
    record.observe(&desired, &world.observe(), after(300));
    assert_eq!(record.failures.len(), 1);
    record.observe(&desired, &world.observe(), after(700));
    assert!(record.failures.is_empty());
}

#[test]
fn a_container_becomes_healthy_with_one_probe_and_unhealthy_with_as_many_as_its_spec_says() {
    let (_, _, mut record) = running(Some(health()));
    let web = key("web/web");
    let status = |record: &Record| record.containers[&web].health.status;
    assert_eq!(status(&record), HealthStatus::Starting);
    let event = record.probe_result(&web, &health(), ProbeOutcome::Passed, after(1)).unwrap();
    assert_eq!((event.kind, event.message.as_str()), (EventKind::Health, "healthy"));
    let refused = || ProbeOutcome::Failed("refused".to_owned());
    assert_eq!(record.probe_result(&web, &health(), refused(), after(11)), None);
    assert_eq!(record.probe_result(&web, &health(), refused(), after(21)), None);
    assert_eq!(status(&record), HealthStatus::Healthy);
    let event = record.probe_result(&web, &health(), refused(), after(31)).unwrap();
    assert_eq!(event.message, "unhealthy: refused");
    assert_eq!(record.probe_result(&web, &health(), refused(), after(41)), None);
    record.probe_result(&web, &health(), ProbeOutcome::Passed, after(51)).unwrap();
    assert_eq!(status(&record), HealthStatus::Healthy);
}

#[test]
fn failures_while_a_container_starts_do_not_count() {
    let check = HealthCheck { start_period: Duration::from_secs(30), retries: 1, ..health() };
    let (_, _, mut record) = running(Some(check.clone()));
    let refused = || ProbeOutcome::Failed("refused".to_owned());
    assert_eq!(record.probe_result(&key("web/web"), &check, refused(), after(29)), None);
    assert!(record.probe_result(&key("web/web"), &check, refused(), after(30)).is_some());
}

#[test]
fn probes_are_frequent_until_the_first_passes_and_then_as_the_spec_says() {
    let check = HealthCheck { start_period: Duration::from_secs(30), ..health() };
    let (mut world, desired, mut record) = running(Some(check.clone()));
    let web = key("web/web");
    let next = |record: &Record, world: &World| {
        record.next_probe_at(&web, &check, &world.observe().containers[&web])
    };
    assert_eq!(next(&record, &world), Some(after(1)));
    record.probe_result(&web, &check, ProbeOutcome::Failed("refused".to_owned()), after(1));
    assert_eq!(next(&record, &world), Some(after(2)));
    record.probe_result(&web, &check, ProbeOutcome::Passed, after(2));
    assert_eq!(next(&record, &world), Some(after(12)));
    // The clock is set back.
    world.advance_to(start().checked_sub(Duration::from_hours(1)).unwrap());
    record.observe(&desired, &world.observe(), world.now());
    assert_eq!(next(&record, &world), world.now().checked_add(check.interval).ok());
    world.exit(&web, Some(0));
    assert_eq!(next(&record, &world), None);
}

#[test]
fn health_starts_anew_with_every_run() {
    let (mut world, desired, mut record) = running(Some(health()));
    let web = key("web/web");
    record.probe_result(&web, &health(), ProbeOutcome::Passed, after(1));
    world.advance_to(after(60));
    world.exit(&web, Some(1));
    record.observe(&desired, &world.observe(), after(60));
    assert_eq!(record.containers[&web].health.status, HealthStatus::None);
    world.start_container(&web).unwrap();
    record.observe(&desired, &world.observe(), after(60));
    assert_eq!(record.containers[&web].health.status, HealthStatus::Starting);
}

#[test]
fn a_record_survives_being_written_as_json() {
    let (_, desired, mut record) = running(Some(health()));
    let plan = plan(&desired, &World::at(start()).observe(), &record, start());
    record.step_failed(&desired, &plan.steps[0], &PortError::new(ErrorKind::User, "no"), start());
    record.seed = 7;
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
}

#[test]
fn a_one_shot_that_is_cut_off_again_and_again_backs_off_and_one_that_fails_is_left() {
    let web = key("web/web");
    let (mut world, mut desired, mut record) = running(None);
    let one = desired.apps.get_mut(&web.app).unwrap().containers.get_mut(&web.name).unwrap();
    one.state = DesiredState::Exited;
    record.containers.get_mut(&web).unwrap().started_as = Some(DesiredState::Exited);
    for cut in 1..4 {
        world.exit(&web, None);
        record.observe(&desired, &world.observe(), world.now());
        assert_eq!(record.containers[&web].short_runs, cut);
        world.advance_to(after(u64::from(cut)));
        world.start_container(&web).unwrap();
        record.observe(&desired, &world.observe(), world.now());
    }
    world.exit(&web, Some(1));
    record.observe(&desired, &world.observe(), world.now());
    assert_eq!(record.containers[&web].short_runs, 0);
}

#[test]
fn a_clock_that_is_set_back_far_does_not_stretch_the_start_period_by_as_much() {
    let check = HealthCheck { start_period: Duration::from_secs(30), retries: 1, ..health() };
    let refused = || ProbeOutcome::Failed("refused".to_owned());
    let before = |seconds| start().checked_sub(Duration::from_secs(seconds)).unwrap();
    let probed = |now| {
        let (_, _, mut record) = running(Some(check.clone()));
        record.probe_result(&key("web/web"), &check, refused(), now).map(|event| event.message)
    };
    assert_eq!(probed(before(5)), None);
    assert_eq!(probed(before(3600)).as_deref(), Some("unhealthy: refused"));
}

#[test]
fn when_probes_were_made_is_not_worth_writing_down_and_what_they_told_is() {
    let (_, _, record) = running(Some(health()));
    let web = key("web/web");
    let mut probed = record.clone();
    probed.probe_result(&web, &health(), ProbeOutcome::Passed, after(1));
    assert!(probed.differs_lastingly(&record));
    let mut again = probed.clone();
    again.probe_result(&web, &health(), ProbeOutcome::Passed, after(11));
    assert_ne!(again, probed);
    assert!(!again.differs_lastingly(&probed));
}

#[test]
fn a_failure_at_a_container_that_is_gone_does_not_hold_up_the_next_one() {
    let (mut world, desired, mut record) = running(None);
    world.advance_to(after(60));
    world.exit(&key("web/web"), Some(137));
    let exited = world.observe();
    record.observe(&desired, &exited, after(60));
    let start = plan(&desired, &exited, &record, after(60)).steps.remove(0);
    // Somebody removes it by force: it is seen exited first, and gone when it is to be started.
    world.remove_container(&key("web/web")).unwrap();
    let gone = PortError::new(ErrorKind::User, "there is no such container");
    record.step_failed(&desired, &start, &gone, after(60));
    record.observe(&desired, &world.observe(), after(60));
    let plan = plan(&desired, &world.observe(), &record, after(60));
    let verbs: Vec<_> = plan.steps.iter().map(|step| step.action.verb()).collect();
    assert_eq!(verbs, ["create", "start"]);
}

#[test]
fn a_declared_volume_that_is_gone_is_told_once_and_one_that_nobody_declares_is_not() {
    let mut web = app_with("web", []);
    web.volumes.insert("data".parse().unwrap(), volume(true));
    let desired = desired([web]);
    let mut world = World::at(start());
    let mut record = Record::default();
    assert!(record.observe(&desired, &world.observe(), start()).is_empty(), "it was never there");
    world.create_volume(&key("web/data"));
    assert!(record.observe(&desired, &world.observe(), start()).is_empty());
    let events = record.observe(&desired, &World::at(start()).observe(), after(1));
    assert_eq!((events[0].kind, events[0].resource.as_ref()), (EventKind::Lost, Some(&key("web/data"))));
    assert!(record.observe(&desired, &World::at(start()).observe(), after(2)).is_empty());
    // Gone is also what was removed because it is no longer declared.
    record.observe(&desired, &world.observe(), after(3));
    assert!(record.observe(&Desired::default(), &World::at(start()).observe(), after(4)).is_empty());
}
