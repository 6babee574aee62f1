//! What is so at the moment of a scrape.

use std::collections::BTreeMap;

use homeostat_reconciler::ports::{EngineInfo, Usage};
use homeostat_reconciler::{
    HealthStatus, Observed, ObservedContainer, Plan, Record, ResourceKey, ShownState, WaitReason, shown_state,
};
use homeostat_spec::Name;
use jiff::Timestamp;
use prometheus::Registry;

use crate::series::{counter, gauge, number};

/// What the agent knows at the moment of a scrape.
#[derive(Debug, Clone, Copy)]
pub struct StatusInputs<'a> {
    /// The moment.
    pub now: Timestamp,
    /// The engine that runs the containers.
    pub engine: &'a EngineInfo,
    /// It answered when it was last asked what there is.
    pub engine_up: bool,
    /// What the engine reported last.
    pub observed: &'a Observed,
    /// What the agent remembers.
    pub record: &'a Record,
    /// The plan that was made last.
    pub plan: &'a Plan,
    /// Every app, with whether all of it is as declared.
    pub synced: &'a BTreeMap<Name, bool>,
    /// What containers use; those that do not run are not there.
    pub usage: &'a BTreeMap<ResourceKey, Usage>,
}

const CONTAINER: [&str; 2] = ["app", "container"];

pub(crate) fn collect(registry: &Registry, status: &StatusInputs<'_>) {
    collect_engine(registry, status);
    collect_apps(registry, status);
    collect_plan(registry, status);
    collect_states(registry, status);
    collect_runs(registry, status);
    collect_health(registry, status);
}

fn collect_engine(registry: &Registry, status: &StatusInputs<'_>) {
    let help = "Always 1; the engine that runs the containers and its version are labels.";
    gauge(registry, "homeostat_engine_info", help, &["engine", "version"])
        .with_label_values(&[&status.engine.name, status.engine.version.as_deref().unwrap_or_default()])
        .set(1.0);
    let help = "Whether the engine answered when it was last asked what there is (1) or not (0).";
    let none: [&str; 0] = [];
    gauge(registry, "homeostat_engine_up", help, &[]).with_label_values(&none).set(flag(status.engine_up));
}

fn collect_apps(registry: &Registry, status: &StatusInputs<'_>) {
    let synced = gauge(
        registry,
        "homeostat_app_synced",
        "Whether all of the app is as declared (1) or not (0).",
        &["app"],
    );
    for (app, is_synced) in status.synced {
        synced.with_label_values(&[app.as_str()]).set(flag(*is_synced));
    }
}

fn collect_plan(registry: &Registry, status: &StatusInputs<'_>) {
    let none: [&str; 0] = [];
    gauge(registry, "homeostat_plan_steps", "Steps of the plan that was made last.", &[])
        .with_label_values(&none)
        .set(number(status.plan.steps.len() as u64));
    let waiting =
        gauge(registry, "homeostat_plan_waiting", "Resources that have to wait, by reason.", &["reason"]);
    for reason in ["dependency", "back_off", "blocked", "health", "completion"] {
        waiting.with_label_values(&[reason]);
    }
    for resource in &status.plan.waiting {
        waiting.with_label_values(&[reason_label(&resource.reason)]).inc();
    }
    gauge(registry, "homeostat_resources_failed", "Resources whose last attempt failed.", &[])
        .with_label_values(&none)
        .set(number(status.record.failures.len() as u64));
}

fn collect_states(registry: &Registry, status: &StatusInputs<'_>) {
    let help = "1 for the state that the container is in, 0 for the others.";
    let series = gauge(registry, "homeostat_container_state", help, &["app", "container", "state"]);
    for key in status.observed.containers.keys() {
        let shown = shown_state(key, status.observed, status.plan);
        for state in [
            ShownState::Created,
            ShownState::Restarting,
            ShownState::Running,
            ShownState::Paused,
            ShownState::Exited,
        ] {
            series
                .with_label_values(&[key.app.as_str(), key.name.as_str(), &state.to_string()])
                .set(flag(shown == state));
        }
    }
}

fn collect_runs(registry: &Registry, status: &StatusInputs<'_>) {
    let help = "How often the container was started again after its run had ended by itself.";
    let restarts = counter(registry, "homeostat_container_restarts_total", help, &CONTAINER);
    let help = "Exit code of the container's last run that ended; 128 + n after signal n.";
    let exits = gauge(registry, "homeostat_container_last_exit_code", help, &CONTAINER);
    for (key, container) in &status.observed.containers {
        let labels = [key.app.as_str(), key.name.as_str()];
        let count = status.record.containers.get(key).map_or(0, |record| record.restarts);
        restarts.with_label_values(&labels).inc_by(number(count));
        if let Some(code) = exit_code(container) {
            exits.with_label_values(&labels).set(f64::from(code));
        }
    }
}

fn collect_health(registry: &Registry, status: &StatusInputs<'_>) {
    let help = "1 for the health that the container is in, 0 for the others; nothing without a health check.";
    let health = gauge(registry, "homeostat_container_health", help, &["app", "container", "status"]);
    for key in status.observed.containers.keys() {
        let current =
            status.record.containers.get(key).map(|record| record.health.status).unwrap_or_default();
        if current == HealthStatus::None {
            continue;
        }
        for (value, label) in [
            (HealthStatus::Starting, "starting"),
            (HealthStatus::Healthy, "healthy"),
            (HealthStatus::Unhealthy, "unhealthy"),
        ] {
            health
                .with_label_values(&[key.app.as_str(), key.name.as_str(), label])
                .set(flag(current == value));
        }
    }
}

fn exit_code(container: &ObservedContainer) -> Option<i32> {
    container.exit.as_ref().and_then(|exit| exit.code)
}

fn reason_label(reason: &WaitReason) -> &'static str {
    match reason {
        WaitReason::Dependency { .. } => "dependency",
        WaitReason::BackOff { .. } => "back_off",
        WaitReason::Blocked { .. } => "blocked",
        WaitReason::Health => "health",
        WaitReason::Stalled { .. } => "stalled",
        WaitReason::Completion => "completion",
        WaitReason::Unsupported { .. } => "unsupported",
        WaitReason::NotAdoptable { .. } => "not_adoptable",
        WaitReason::KeptByHand { .. } => "kept_by_hand",
        WaitReason::NeverPulled => "never_pulled",
        WaitReason::NotAsked { .. } => "not_asked",
    }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
