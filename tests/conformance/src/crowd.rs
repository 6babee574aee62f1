//! Much at once.

use std::time::Duration;

use futures::future::join_all;
use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::{Engine, ExecRequest};

use crate::world::expect;
use crate::{PATIENCE, World, key, run, shell};

/// How many containers a case has.
const MANY: usize = 20;

/// Containers are created, started, stopped and removed all at once.
pub async fn many_containers_come_and_go_at_once(engine: &dyn Engine, world: &World) {
    let keys: Vec<_> = (0..MANY).map(|number| key(&format!("one-of-many-{number}"))).collect();
    let requests = keys.iter().map(|key| world.request(key, &world.base, shell("sleep infinity")));
    let requests: Vec<_> = requests.collect();
    join_all(requests.iter().map(|request| engine.create_container(request)))
        .await
        .into_iter()
        .for_each(expect);
    join_all(keys.iter().map(|key| engine.start_container(key))).await.into_iter().for_each(expect);
    let seen = expect(engine.observe().await).containers;
    assert_eq!(seen.len(), MANY);
    assert!(seen.values().all(|seen| seen.state == ContainerState::Running && seen.pid.is_some()));

    let stops = keys.iter().map(|key| engine.stop_container(key, Some("SIGKILL"), Duration::ZERO));
    join_all(stops).await.into_iter().for_each(expect);
    let seen = expect(engine.observe().await).containers;
    assert!(seen.values().all(|seen| seen.exit.as_ref().and_then(|exit| exit.code) == Some(137)));
    join_all(keys.iter().map(|key| engine.remove_container(key))).await.into_iter().for_each(expect);
    assert!(expect(engine.observe().await).containers.is_empty());
}

/// Commands run in one container side by side, each with its own output.
pub async fn many_commands_run_in_one_container_at_once(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "host", shell("sleep infinity")).await;
    let ask = async |number: usize| {
        let script = format!(
            "echo {number}; echo {number} >> /arrived; while [ $(wc -l < /arrived) -lt 8 ]; do usleep 10000; done; exit {number}"
        );
        let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        expect(engine.exec(&key, &ExecRequest { command, timeout: PATIENCE }).await)
    };
    // None ends before all have begun.
    for (number, outcome) in join_all((0..8).map(ask)).await.into_iter().enumerate() {
        assert_eq!(outcome.code, i32::try_from(number).ok());
        assert_eq!(outcome.output.trim(), number.to_string());
    }
}
