//! Stopping everything in order, when the host goes down.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{ContainerState, Desired, ErrorKind, Observed, PortError, ResourceKey, chain};

/// The time that a container has which no spec declares any more.
const GRACE: Duration = Duration::from_secs(10);

/// The time that an engine has beside a container's grace. The host does not wait for one that hangs.
const SPARE: Duration = Duration::from_secs(30);

/// Stops all containers: those that others depend on after these, else at once. Returns the ones that were stopped.
///
/// One that cannot be stopped holds up nobody; the kernel ends it with the host.
pub(crate) async fn stop_all(
    engine: &dyn Engine,
    desired: &Desired,
    observed: &Observed,
) -> Vec<ResourceKey> {
    let runs = |state| matches!(state, ContainerState::Running | ContainerState::Paused);
    let running = observed.containers.iter().filter(|(_, container)| runs(container.state));
    let mut remaining: BTreeSet<_> = running.map(|(key, _)| key.clone()).collect();
    let mut stopped = Vec::new();
    while !remaining.is_empty() {
        let next = needed_by_none(&remaining, desired);
        remaining.retain(|key| !next.contains(key));
        let results = join_all(next.iter().map(|key| stop(engine, desired, key))).await;
        stopped.extend(next.into_iter().zip(results).filter_map(|(key, done)| done.then_some(key)));
    }
    stopped
}

/// Those of `remaining` that no other of them depends on; all, should they depend on each other in a circle.
fn needed_by_none(remaining: &BTreeSet<ResourceKey>, desired: &Desired) -> Vec<ResourceKey> {
    let needs = |other: &ResourceKey, key: &ResourceKey| {
        other.app == key.app
            && desired.container(other).is_some_and(|container| container.depends_on.contains_key(&key.name))
    };
    let free = |key: &&ResourceKey| !remaining.iter().any(|other| needs(other, key));
    let next: Vec<_> = remaining.iter().filter(free).cloned().collect();
    if next.is_empty() { remaining.iter().cloned().collect() } else { next }
}

async fn stop(engine: &dyn Engine, desired: &Desired, key: &ResourceKey) -> bool {
    let policy = desired.container(key).map(|container| &container.stop);
    let signal = policy.and_then(|policy| policy.signal.as_deref());
    let grace = policy.map_or(GRACE, |policy| policy.grace);
    let stop = tokio::time::timeout(grace.saturating_add(SPARE), engine.stop_container(key, signal, grace));
    let silent = || Err(PortError::new(ErrorKind::Transient, "the engine does not answer"));
    let done = stop.await.unwrap_or_else(|_| silent());
    if let Err(error) = &done {
        tracing::warn!(container = %key, "it cannot be stopped in order: {}", chain(error));
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use homeostat_reconciler::fake::specs::{app_with, container, desired, key, name};
    use homeostat_reconciler::fake::{FakeEngine, Fault, FaultTime, Operation};
    use homeostat_spec::DependencyCondition;

    use super::*;
    use crate::clock::SystemClock;

    /// `db`, `api` that needs it, and `web` that needs `api`, all of which run.
    fn host() -> (FakeEngine, Desired) {
        let needing = |other: &str| {
            let mut container = container("nginx");
            container.depends_on.insert(name(other), DependencyCondition::Started);
            container
        };
        let containers = [("api", needing("db")), ("db", container("nginx")), ("web", needing("api"))];
        let engine = FakeEngine::new(Arc::new(SystemClock));
        engine.with_world(|world| {
            world.bring_image("nginx").unwrap();
            for (name, container) in &containers {
                let key = key(&format!("shop/{name}"));
                world.create_container(&key, "nginx", &container.config).unwrap();
                world.start_container(&key).unwrap();
            }
        });
        (engine, desired([app_with("shop", containers)]))
    }

    async fn stopped(engine: &FakeEngine, desired: &Desired) -> Vec<String> {
        let observed = engine.observe().await.unwrap();
        let stopped = stop_all(engine, desired, &observed).await;
        stopped.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn what_others_depend_on_is_stopped_after_them() {
        let (engine, desired) = host();
        assert_eq!(stopped(&engine, &desired).await, ["shop/web", "shop/api", "shop/db"]);
        assert!(stopped(&engine, &desired).await.is_empty(), "nothing runs any more");
    }

    #[tokio::test]
    async fn one_that_cannot_be_stopped_holds_up_nobody() {
        let (engine, desired) = host();
        let on = Some("shop/web".to_owned());
        let (operation, time, kind) = (Operation::StopContainer, FaultTime::Before, ErrorKind::Transient);
        engine.inject(Fault { operation, on, times: 1, time, kind });
        assert_eq!(stopped(&engine, &desired).await, ["shop/api", "shop/db"]);
    }
}
