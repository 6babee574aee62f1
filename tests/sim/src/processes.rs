//! What runs in the containers of the fake engine: services run until they are stopped, one-shots end well.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::fake::FakeEngine;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a one-shot takes.
const ONE_SHOT: Duration = Duration::from_secs(2);

/// Plays what runs in the containers, by a clock that nobody sets, until it is dropped.
pub(crate) struct Processes {
    one_shots: watch::Sender<BTreeSet<ResourceKey>>,
    task: JoinHandle<()>,
}

impl Processes {
    /// Plays services only, at first.
    pub(crate) fn of(engine: &FakeEngine) -> Self {
        let (one_shots, receiver) = watch::channel(BTreeSet::new());
        Self { one_shots, task: tokio::spawn(play(engine.clone(), receiver)) }
    }

    /// From now on these are one-shots, also those that run already.
    pub(crate) fn set_one_shots(&self, one_shots: BTreeSet<ResourceKey>) {
        self.one_shots.send_replace(one_shots);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Run = (ResourceKey, u32);

async fn play(engine: FakeEngine, mut one_shots: watch::Receiver<BTreeSet<ResourceKey>>) {
    let mut starts = engine.starts();
    let mut ends: FuturesUnordered<BoxFuture<'static, Run>> = FuturesUnordered::new();
    let end_of = |key: ResourceKey| {
        let run = (key.clone(), pid_of(&engine, &key)?);
        Some(tokio::time::sleep(ONE_SHOT).map(|()| run).boxed())
    };
    loop {
        tokio::select! {
            biased;
            Ok(()) = one_shots.changed() => {
                let keys = one_shots.borrow_and_update().clone();
                ends.extend(keys.into_iter().filter_map(&end_of));
            }
            Some(key) = starts.next() => ends.extend(end_of(key)),
            Some((key, pid)) = ends.next() => {
                if one_shots.borrow().contains(&key) && pid_of(&engine, &key) == Some(pid) {
                    engine.exit_container(&key, 0);
                }
            }
        }
    }
}

fn pid_of(engine: &FakeEngine, key: &ResourceKey) -> Option<u32> {
    engine.with_world(|world| world.observed_mut().containers.get(key)?.pid)
}
