//! Runs the health checks of containers when they are due.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use homeostat_reconciler::ports::{Engine, ExecRequest};
use homeostat_reconciler::{ContainerState, Desired, HealthStatus, Observed, ObservedContainer, Record, ResourceKey, chain};
use homeostat_spec::{HealthCheck, NetworkMode, Probe};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::http_probe;

/// Until the first probe of a run has passed, the time between probes grows from this to the interval.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// How a probe ended.
pub struct ProbeResult {
    /// The container.
    pub key: ResourceKey,
    /// The run that was probed, by its start.
    pub run: Timestamp,
    /// `Err` says why it failed.
    pub outcome: Result<(), String>,
}

/// See the module's documentation.
pub struct Probes {
    engine: Arc<dyn Engine>,
    followed: BTreeMap<ResourceKey, Followed>,
    running: FuturesUnordered<BoxFuture<'static, ProbeResult>>,
}

struct Followed {
    run: Timestamp,
    target: Target,
    probe: Probe,
    timeout: Duration,
    /// When the next probe is due; `None` while one runs.
    due: Option<Instant>,
    interval: Duration,
}

/// Where a container is probed.
#[derive(Clone)]
struct Target {
    key: ResourceKey,
    address: Option<Ipv4Addr>,
}

impl Probes {
    /// Probes nothing yet.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, followed: BTreeMap::new(), running: FuturesUnordered::new() }
    }

    /// Probes the containers that run and have a health check; a new run is probed at once.
    pub fn follow(&mut self, desired: &Desired, observed: &Observed, record: &Record) {
        self.followed.retain(|key, followed| {
            observed.containers.get(key).and_then(running_since) == Some(followed.run)
                && desired.container(key).is_some_and(|container| container.health.is_some())
        });
        for (key, container) in &observed.containers {
            let Some(run) = running_since(container) else { continue };
            let Some(check) = desired.container(key).and_then(|wanted| wanted.health.as_ref()) else { continue };
            let target = Target { key: key.clone(), address: address_of(container) };
            let known = self.followed.remove(key);
            let due = known.as_ref().map_or(Some(Instant::now()), |followed| followed.due);
            let interval = known.map_or_else(|| first_interval(check, record, key), |followed| followed.interval);
            let followed =
                Followed { run, target, probe: check.probe.clone(), timeout: check.timeout, due, interval };
            self.followed.insert(key.clone(), followed);
        }
    }

    /// Sets the time of the next probe after one has ended.
    pub fn finished(&mut self, result: &ProbeResult, check: &HealthCheck, record: &Record) {
        let Some(followed) = self.followed.get_mut(&result.key) else { return };
        if followed.run != result.run {
            return;
        }
        let starting = health_of(record, &result.key) == HealthStatus::Starting;
        followed.interval = if starting { (followed.interval * 2).min(check.interval) } else { check.interval };
        followed.due = Some(Instant::now() + followed.interval);
    }

    /// Begins probes when they are due and waits for one to end; forever when there is nothing to probe.
    pub async fn next(&mut self) -> Option<ProbeResult> {
        loop {
            self.start_due();
            let due = self.followed.values().filter_map(|followed| followed.due).min();
            tokio::select! {
                biased;
                Some(result) = self.running.next() => return Some(result),
                () = async { match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                } } => {}
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for followed in self.followed.values_mut() {
            if followed.due.is_some_and(|due| due <= now) {
                followed.due = None;
                let (target, probe, run) = (followed.target.clone(), followed.probe.clone(), followed.run);
                let (engine, timeout) = (self.engine.clone(), followed.timeout);
                self.running.push(Box::pin(async move {
                    let outcome = probe_once(engine.as_ref(), &target, &probe, timeout).await;
                    ProbeResult { key: target.key, run, outcome }
                }));
            }
        }
    }
}

/// A paused container cannot answer and is not probed.
fn running_since(container: &ObservedContainer) -> Option<Timestamp> {
    if container.state == ContainerState::Running { container.started_at } else { None }
}

fn address_of(container: &ObservedContainer) -> Option<Ipv4Addr> {
    match container.config.network {
        NetworkMode::Host => Some(Ipv4Addr::LOCALHOST),
        _ => container.address,
    }
}

fn health_of(record: &Record, key: &ResourceKey) -> HealthStatus {
    record.containers.get(key).map_or(HealthStatus::None, |container| container.health.status)
}

/// After a restart of the agent a healthy container is probed at its interval at once.
fn first_interval(check: &HealthCheck, record: &Record, key: &ResourceKey) -> Duration {
    if health_of(record, key) == HealthStatus::Healthy { check.interval } else { FIRST_INTERVAL.min(check.interval) }
}

async fn probe_once(engine: &dyn Engine, target: &Target, probe: &Probe, timeout: Duration) -> Result<(), String> {
    let attempt = async {
        match probe {
            Probe::Command(command) => run_command(engine, target, command, timeout).await,
            Probe::Http { port, path } => http_probe::get(address(target)?, *port, path).await,
            Probe::Tcp { port } => http_probe::connect(address(target)?, *port).await.map(drop),
        }
    };
    // The engine ends a command itself when its time is over.
    let limit = if matches!(probe, Probe::Command(_)) { timeout * 2 } else { timeout };
    tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| Err(timed_out(timeout)))
}

async fn run_command(engine: &dyn Engine, target: &Target, command: &[String], timeout: Duration) -> Result<(), String> {
    let request = ExecRequest { command: command.to_vec(), timeout };
    let outcome = engine.exec(&target.key, &request).await.map_err(|error| chain(&error))?;
    let last_line = outcome.output.lines().last().unwrap_or_default();
    match outcome.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("exit code {code}: {last_line}")),
        None => Err(timed_out(timeout)),
    }
}

fn address(target: &Target) -> Result<Ipv4Addr, String> {
    target.address.ok_or_else(|| "the container has no address".to_owned())
}

fn timed_out(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}
