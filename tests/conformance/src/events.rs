//! Events.

use futures::StreamExt as _;
use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::{Engine, EngineEvent};

use crate::{PATIENCE, World, run, shell, state};

/// When a run ends by itself, that is told, and what is observed then is the end.
pub async fn an_exit_is_told_as_an_event(engine: &dyn Engine, world: &World) {
    let mut events = engine.events();
    let key = run(engine, world, "brief", shell("usleep 100000; exit 3")).await;
    let told = async {
        while let Some(event) = events.next().await {
            if event == EngineEvent::ContainerExited(key.clone()) {
                return;
            }
        }
        panic!("the events have ended");
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the exit is told");
    assert_eq!(state(engine, &key).await, ContainerState::Exited);
}
