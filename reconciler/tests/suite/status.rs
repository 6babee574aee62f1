//! What people and scripts are told.

use std::time::Duration;

use crate::support::Loop;
use homeostat_reconciler::fake::Behaviour;
use homeostat_reconciler::fake::specs::{app_with, container, desired, in_state, key, name};
use homeostat_reconciler::ports::{EngineInfo, EventKind};
use homeostat_reconciler::{Desired, ErrorKind, PortError, StatusReport, restarts, status};
use homeostat_spec::DesiredState;
use serde_json::json;

fn report(agent: &mut Loop) -> StatusReport {
    let plan = agent.plan();
    let engine = EngineInfo { name: "embedded".to_owned(), version: Some("1".to_owned()), storage: None };
    status(&agent.desired, &agent.world.observe(), &agent.record, &plan, &engine)
}

fn messages(report: &StatusReport) -> Vec<Option<&str>> {
    let apps = report.apps.iter();
    apps.flat_map(|app| app.containers.iter().map(|container| container.message.as_deref())).collect()
}

#[test]
fn the_report_has_the_form_that_scripts_rely_on() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    agent.step();
    assert_eq!(
        serde_json::to_value(report(&mut agent)).unwrap(),
        json!({
            "engine": "embedded",
            "engine_version": "1",
            "engine_storage": null,
            "revision": "r1",
            "apps": [{
                "name": "web",
                "revision": "r1",
                "synced": true,
                "message": null,
                "containers": [{
                    "name": "web",
                    "image": "nginx",
                    "image_id": "sha256:nginx",
                    "image_digest": null,
                    "desired": "running",
                    "actual": "running",
                    "health": "none",
                    "pid": 2,
                    "restarts": 0,
                    "started_at": "2023-11-14T22:13:20Z",
                    "exit_code": null,
                    "ports": [],
                    "message": null,
                }],
            }],
        })
    );
}

/// A container that fails after a second each time, and runs once more.
fn restarted_once() -> Loop {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    let fails = Behaviour { ends_after: Duration::from_secs(1), code: 3 };
    agent.world.behaviours.insert(key("web/web"), fails);
    agent.step();
    agent.advance(Duration::from_secs(1));
    agent.step();
    agent
}

#[test]
fn a_container_that_waits_for_its_restart_is_restarting() {
    let mut agent = restarted_once();
    agent.advance(Duration::from_secs(1));
    let report = report(&mut agent);
    let app = serde_json::to_value(&report.apps[0]).unwrap();
    assert_eq!(app["containers"][0]["actual"], "restarting");
    assert_eq!(app["containers"][0]["restarts"], 1);
    assert_eq!(app["synced"], false);
    assert_eq!(app["containers"][0]["message"], "backs off after attempt 2: exited with code 3");
}

#[test]
fn a_restart_that_is_waited_for_is_an_event_once() {
    let mut agent = restarted_once();
    let running = (agent.world.observe(), agent.plan());
    agent.advance(Duration::from_secs(1));
    let waiting = (agent.world.observe(), agent.plan());
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let told = restarts((&running.0, &running.1), (&waiting.0, &waiting.1), now);
    assert_eq!(
        (told.len(), told[0].kind, &told[0].resource),
        (1, EventKind::Restarting, &Some(key("web/web")))
    );
    assert!(told[0].message.starts_with("is started again at 2023-11-14T22:13:2"), "{told:?}");
    assert_eq!(restarts((&waiting.0, &waiting.1), (&waiting.0, &waiting.1), now), []);
    assert_eq!(restarts((&waiting.0, &waiting.1), (&running.0, &running.1), now), []);
}

#[test]
fn a_message_goes_down_to_the_error_and_what_to_do_about_it() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    let plan = agent.plan();
    let error = PortError::new(ErrorKind::User, "no such image").with_hint("check the tag");
    let now = agent.world.now();
    agent.record.step_failed(&agent.desired, &plan.steps[0], &error, now);
    assert_eq!(
        messages(&report(&mut agent)),
        [Some("waits for image nginx, which backs off after attempt 1: no such image (hint: check the tag)")]
    );
}

#[test]
fn a_broken_app_is_reported_with_what_still_runs_of_it() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    agent.step();
    agent.desired = Desired { revision: "r2".to_owned(), ..desired([app_with("other", [])]) };
    agent.desired.broken.insert(name("web"), "web.toml:1:1: unknown key".to_owned());
    let report = report(&mut agent);
    let web = serde_json::to_value(&report.apps[1]).unwrap();
    assert_eq!(web["synced"], false);
    assert_eq!(web["revision"], json!(null));
    assert_eq!(web["message"], "web.toml:1:1: unknown key");
    assert_eq!(web["containers"][0]["desired"], "absent");
    assert_eq!(web["containers"][0]["actual"], "running");
    assert!(report.apps[0].synced);
}

#[test]
fn pending_steps_held_removals_and_running_jobs_are_explained() {
    let job = in_state(DesiredState::Exited, container("job"));
    let mut agent = Loop::new(desired([app_with("web", [("job", job), ("web", container("nginx"))])]));
    assert_eq!(messages(&report(&mut agent)), [Some("pending: create: not there"); 2]);
    agent.step();
    assert_eq!(messages(&report(&mut agent)), [Some("runs until it ends by itself"), None]);
    agent.desired = Desired::default();
    let report = report(&mut agent);
    assert_eq!(
        report.apps[0].message.as_deref(),
        Some("container web/job: kept: the source has no specs at all")
    );
}

#[test]
fn a_container_that_ended_badly_and_is_left_so_says_how() {
    let mut web = container("nginx");
    web.restart = homeostat_spec::RestartPolicy::No;
    let mut agent = Loop::new(desired([app_with("web", [("web", web)])]));
    agent.step();
    agent.world.exit(&key("web/web"), Some(137));
    let report = report(&mut agent);
    assert!(report.apps[0].synced);
    assert_eq!(messages(&report), [Some("exited with code 137")]);
}
