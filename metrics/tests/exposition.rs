//! The text that a scrape gets.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use homeostat_metrics::{Metrics, Outcome, StatusInputs};
use homeostat_reconciler::ports::{EngineInfo, EventKind, Pruned, PrunedItem, Traffic, Usage};
use homeostat_reconciler::{
    Action, ContainerRecord, ContainerState, ExitStatus, Health, HealthStatus, Observed, ObservedContainer,
    Plan, Record, ResourceId, ResourceKey, WaitReason, Waiting,
};
use homeostat_spec::{ContainerConfig, Diagnostic, Name, PruneKind, Severity};
use jiff::Timestamp;

/// A host with a container that runs and one that exited.
struct Situation {
    engine: EngineInfo,
    observed: Observed,
    record: Record,
    plan: Plan,
    synced: BTreeMap<Name, bool>,
    usage: BTreeMap<ResourceKey, Usage>,
}

impl Situation {
    fn new() -> Self {
        let (web, job) = (key("web/web"), key("web/job"));
        let exit =
            ExitStatus { code: Some(137), oom_killed: true, finished_at: Timestamp::UNIX_EPOCH, error: None };
        let waiting = Waiting {
            resource: ResourceId::container(&job),
            reason: WaitReason::BackOff { attempts: 2, message: "no".to_owned() },
            until: None,
        };
        let health = Health { status: HealthStatus::Healthy, ..Health::default() };
        Self {
            engine: EngineInfo {
                name: "embedded".to_owned(),
                version: Some("0.1.0".to_owned()),
                storage: None,
            },
            observed: Observed {
                containers: BTreeMap::from([
                    (web.clone(), container("c1", ContainerState::Running, None)),
                    (job.clone(), container("c2", ContainerState::Exited, Some(exit))),
                ]),
                ..Observed::default()
            },
            record: Record {
                containers: BTreeMap::from([
                    (web.clone(), ContainerRecord { health, ..ContainerRecord::default() }),
                    (job, ContainerRecord { restarts: 3, ..ContainerRecord::default() }),
                ]),
                ..Record::default()
            },
            plan: Plan { steps: Vec::new(), waiting: vec![waiting], ..Plan::default() },
            synced: BTreeMap::from([("blog".parse().unwrap(), true), ("web".parse().unwrap(), false)]),
            usage: BTreeMap::from([(web, usage())]),
        }
    }

    fn inputs(&self) -> StatusInputs<'_> {
        StatusInputs {
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            engine: &self.engine,
            engine_up: false,
            observed: &self.observed,
            record: &self.record,
            plan: &self.plan,
            synced: &self.synced,
            usage: &self.usage,
        }
    }
}

fn key(text: &str) -> ResourceKey {
    text.parse().unwrap()
}

fn usage() -> Usage {
    Usage {
        cpu: Duration::from_millis(1500),
        memory_working_set: 4 << 20,
        memory_usage: 6 << 20,
        memory_limit: Some(64 << 20),
        oom_kills: 1,
        pids: 7,
        network: Some(Traffic { input: 1000, output: 200 }),
        block: Some(Traffic { input: 4096, output: 512 }),
    }
}

fn container(id: &str, state: ContainerState, exit: Option<ExitStatus>) -> ObservedContainer {
    ObservedContainer {
        id: id.to_owned(),
        image: "localhost/web:\"1\"".to_owned(),
        image_id: "sha256:00".to_owned(),
        config: config(),
        state,
        pid: None,
        started_at: Some("2026-01-02T03:00:00Z".parse().unwrap()),
        exit,
        address: None,
        ports: Vec::new(),
    }
}

fn config() -> ContainerConfig {
    ContainerConfig::default()
}

fn busy() -> Metrics {
    let metrics = Metrics::new("0.1.0");
    let warning = Diagnostic {
        file: "web.toml".to_owned(),
        position: None,
        severity: Severity::Warning,
        message: "old".to_owned(),
        hint: None,
    };
    metrics.reconcile_finished(Outcome::Success, Duration::from_millis(20));
    metrics.step_executed(&Action::StartContainer, Outcome::Error, Duration::from_millis(7));
    metrics.source_read("2026-01-02T03:04:00Z".parse().unwrap());
    metrics.source_failed();
    metrics.revision_compiled("0a1b", &[]);
    metrics.revision_compiled("2c3d", &[warning]);
    metrics.engine_failed();
    metrics.store_failed();
    metrics.store_rebuilt();
    metrics.event_recorded(EventKind::Exited);
    let image = PrunedItem::new(PruneKind::Image, "web:1", 2048, Duration::from_hours(1));
    metrics.pruned(&Pruned::of(vec![image.clone(), image]));
    metrics
}

#[test]
fn a_scrape_says_what_was_done_and_what_is_so() {
    insta::assert_snapshot!(busy().render(&Situation::new().inputs()));
}

#[test]
fn a_container_that_is_gone_leaves_nothing_behind() {
    let metrics = busy();
    let mut situation = Situation::new();
    assert!(metrics.render(&situation.inputs()).contains("container=\"job\""));
    situation.observed.containers.remove(&key("web/job"));
    situation.synced.remove("web");
    let text = metrics.render(&situation.inputs());
    assert!(!text.contains("container=\"job\"") && !text.contains("homeostat_app_synced{app=\"web\"}"));
    assert_eq!(text, metrics.render(&situation.inputs()), "a scrape changes nothing");
}

#[test]
fn only_the_last_revision_is_told() {
    let text = busy().render(&Situation::new().inputs());
    assert!(text.contains("{revision=\"2c3d\"} 1") && !text.contains("0a1b"));
}

#[test]
fn counts_begin_at_zero() {
    let nothing = Situation {
        observed: Observed::default(),
        record: Record::default(),
        plan: Plan::default(),
        synced: BTreeMap::new(),
        usage: BTreeMap::new(),
        ..Situation::new()
    };
    let text = Metrics::new("0.1.0").render(&nothing.inputs());
    for line in [
        "homeostat_reconcile_total{result=\"error\"} 0",
        "homeostat_events_total{kind=\"failed\"} 0",
        "homeostat_store_errors_total 0",
        "homeostat_pruned_bytes_total{kind=\"build_cache\"} 0",
        "homeostat_pruned_items_total{kind=\"volume\"} 0",
        "homeostat_plan_steps 0",
        "homeostat_plan_waiting{reason=\"back_off\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("container_"));
}

/// Prometheus' own tool, from the Debian package prometheus, finds nothing to say about names, types and help texts.
#[test]
fn promtool_has_no_complaint() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no promtool (Debian package prometheus)");
        return;
    };
    let text = busy().render(&Situation::new().inputs());
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
