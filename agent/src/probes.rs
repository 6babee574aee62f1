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
    /// It failed, and that may be the engine's fault.
    pub is_doubtful: bool,
    /// When it began.
    pub began: Instant,
}

/// How a probe failed.
struct Failure {
    message: String,
    is_doubtful: bool,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, is_doubtful: false }
    }
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
                let (outcome, is_doubtful) = match probe_once(engine.as_ref(), &key, &due).await {
                    Ok(()) => (ProbeOutcome::Passed, false),
                    Err(failure) => (ProbeOutcome::Failed(failure.message), failure.is_doubtful),
                };
                ProbeResult { key, run: due.run, outcome, is_doubtful, began: now }
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

async fn probe_once(engine: &dyn Engine, key: &ResourceKey, due: &Due) -> Result<(), Failure> {
    let address = || due.address.ok_or_else(|| "the container has no address".to_owned());
    let attempt = async {
        match &due.probe {
            Probe::Command(command) => run_command(engine, key, command, due.timeout).await,
            Probe::Http { port, path } => Ok(http_probe::get(address()?, *port, path).await?),
            Probe::Tcp { port } => Ok(http_probe::connect(address()?, *port).await.map(drop)?),
        }
    };
    // The engine ends a command itself when its time is over; if it says nothing, it may hang.
    let is_command = matches!(due.probe, Probe::Command(_));
    let limit = if is_command { due.timeout * 2 } else { due.timeout };
    let silent = |_| Err(Failure { message: timed_out(due.timeout), is_doubtful: is_command });
    tokio::time::timeout(limit, attempt).await.unwrap_or_else(silent)
}

async fn run_command(
    engine: &dyn Engine,
    key: &ResourceKey,
    command: &[String],
    timeout: Duration,
) -> Result<(), Failure> {
    let request = ExecRequest { command: command.to_vec(), timeout };
    let doubtful = |error| Failure { message: chain(&error), is_doubtful: true };
    let outcome = engine.exec(key, &request).await.map_err(doubtful)?;
    let last_line = outcome.output.lines().last().unwrap_or_default();
    match outcome.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("exit code {code}: {last_line}").into()),
        None => Err(timed_out(timeout).into()),
    }
}

fn timed_out(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}
