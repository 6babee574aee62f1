//! Runs the health checks of containers when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use homeostat_reconciler::ports::{Engine, ExecRequest};
use homeostat_reconciler::{Desired, Observed, ObservedContainer, ProbeOutcome, Record, ResourceKey, chain};
use homeostat_spec::{NetworkMode, Probe};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::http_probe;
use crate::timing::{duration_between, sleep_until};

/// How a probe ended.
pub struct ProbeResult {
    /// The container.
    pub key: ResourceKey,
    /// The run that was probed, by its start.
    pub run: Timestamp,
    /// What it told.
    pub outcome: ProbeOutcome,
}

/// See the module's documentation.
pub struct Probes {
    engine: Arc<dyn Engine>,
    due: BTreeMap<ResourceKey, Due>,
    running: FuturesUnordered<BoxFuture<'static, ProbeResult>>,
    under_way: BTreeSet<ResourceKey>,
}

/// A probe that will be due.
struct Due {
    at: Instant,
    run: Timestamp,
    probe: Probe,
    timeout: Duration,
    /// Where the container is reached.
    address: Option<Ipv4Addr>,
}

impl Probes {
    /// Probes nothing yet.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, due: BTreeMap::new(), running: FuturesUnordered::new(), under_way: BTreeSet::new() }
    }

    /// Plans the next probe of every container that runs and has a health check.
    pub fn follow(&mut self, desired: &Desired, observed: &Observed, record: &Record, now: Timestamp) {
        self.due.clear();
        for (key, wanted) in desired.containers() {
            let (Some(check), Some(container)) = (&wanted.health, observed.containers.get(&key)) else {
                continue;
            };
            let Some(time) = record.next_probe_at(&key, check, container) else { continue };
            let Some(run) = container.started_at else { continue };
            if self.under_way.contains(&key) {
                continue;
            }
            let at = Instant::now() + duration_between(now, time);
            let address = address_of(container);
            self.due
                .insert(key, Due { at, run, probe: check.probe.clone(), timeout: check.timeout, address });
        }
    }

    /// Begins probes when they are due and waits for one to end; forever when there is nothing to probe.
    pub async fn next(&mut self) -> ProbeResult {
        loop {
            self.start_due();
            let next = self.due.values().map(|due| due.at).min();
            tokio::select! {
                biased;
                Some(result) = self.running.next() => {
                    self.under_way.remove(&result.key);
                    return result;
                }
                () = sleep_until(next) => {}
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for (key, due) in self.due.extract_if(.., |_, due| due.at <= now) {
            self.under_way.insert(key.clone());
            let engine = self.engine.clone();
            self.running.push(Box::pin(async move {
                let outcome = match probe_once(engine.as_ref(), &key, &due).await {
                    Ok(()) => ProbeOutcome::Passed,
                    Err(message) => ProbeOutcome::Failed(message),
                };
                ProbeResult { key, run: due.run, outcome }
            }));
        }
    }
}

fn address_of(container: &ObservedContainer) -> Option<Ipv4Addr> {
    match container.config.network {
        NetworkMode::Host => Some(Ipv4Addr::LOCALHOST),
        _ => container.address,
    }
}

async fn probe_once(engine: &dyn Engine, key: &ResourceKey, due: &Due) -> Result<(), String> {
    let attempt = async {
        let address = || due.address.ok_or_else(|| "the container has no address".to_owned());
        match &due.probe {
            Probe::Command(command) => run_command(engine, key, command, due.timeout).await,
            Probe::Http { port, path } => http_probe::get(address()?, *port, path).await,
            Probe::Tcp { port } => http_probe::connect(address()?, *port).await.map(drop),
        }
    };
    // The engine ends a command itself when its time is over.
    let limit = if matches!(due.probe, Probe::Command(_)) { due.timeout * 2 } else { due.timeout };
    tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| Err(timed_out(due.timeout)))
}

async fn run_command(
    engine: &dyn Engine,
    key: &ResourceKey,
    command: &[String],
    timeout: Duration,
) -> Result<(), String> {
    let request = ExecRequest { command: command.to_vec(), timeout };
    let outcome = engine.exec(key, &request).await.map_err(|error| chain(&error))?;
    let last_line = outcome.output.lines().last().unwrap_or_default();
    match outcome.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("exit code {code}: {last_line}")),
        None => Err(timed_out(timeout)),
    }
}

fn timed_out(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}
