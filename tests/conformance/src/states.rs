//! The states of a container and what leads from one to another.

use std::time::Duration;

use homeostat_reconciler::ContainerState;
use homeostat_reconciler::ports::Engine;
use homeostat_spec::{ContainerConfig, LogRotation, Resources};

use crate::world::expect;
use crate::{World, create, log_lines, observe, run, shell, state, wait_for_log};

const COUNT: &str = "n=0; while :; do echo $n; n=$((n+1)); usleep 20000; done";

/// A container that was only created has no process and no exit status.
pub async fn a_created_container_does_not_run(engine: &dyn Engine, world: &World) {
    let key = create(engine, world, "idle", shell("sleep infinity")).await;
    let seen = observe(engine, &key).await;
    assert_eq!(seen.state, ContainerState::Created);
    assert_eq!((seen.pid, seen.started_at, seen.exit), (None, None, None));
    assert_eq!(seen.image, world.base);
    let images = expect(engine.observe().await).images;
    assert_eq!(seen.image_id, images[&world.base].id);
}

/// A started container has a live process, and none after it was stopped.
pub async fn a_started_container_runs_until_it_is_stopped(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "sleeper", shell("sleep infinity")).await;
    let seen = observe(engine, &key).await;
    assert_eq!(seen.state, ContainerState::Running);
    assert!(seen.pid.is_some() && seen.started_at.is_some() && seen.exit.is_none(), "{seen:?}");

    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    let stopped = observe(engine, &key).await;
    assert_eq!(stopped.state, ContainerState::Exited);
    assert_eq!((stopped.pid, stopped.address), (None, None));
    assert_eq!(stopped.started_at, seen.started_at);
    assert!(stopped.exit.is_some());
}

/// No process of a paused container runs; after a resume they go on where they were.
pub async fn a_paused_container_does_nothing_until_it_is_resumed(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "counter", shell(COUNT)).await;
    wait_for_log(engine, &key, "2").await;
    let pid = observe(engine, &key).await.pid;
    expect(engine.pause_container(&key).await);
    assert_eq!(state(engine, &key).await, ContainerState::Paused);
    assert_eq!(observe(engine, &key).await.pid, pid);

    // What was written before the pause may still be on its way to the log.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = log_lines(engine, &key).await.len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(log_lines(engine, &key).await.len(), before);

    expect(engine.resume_container(&key).await);
    assert_eq!(state(engine, &key).await, ContainerState::Running);
    wait_for_log(engine, &key, &(before + 2).to_string()).await;
    assert_eq!(observe(engine, &key).await.pid, pid);
}

/// Asking for what is already so succeeds and changes nothing.
pub async fn every_operation_can_be_repeated(engine: &dyn Engine, world: &World) {
    let key = create(engine, world, "again", shell("sleep infinity")).await;
    let created = observe(engine, &key).await;
    create(engine, world, "again", shell("sleep infinity")).await;
    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    assert_eq!(observe(engine, &key).await, created);

    expect(engine.start_container(&key).await);
    let running = observe(engine, &key).await;
    expect(engine.start_container(&key).await);
    expect(engine.resume_container(&key).await);
    create(engine, world, "again", shell("sleep infinity")).await;
    assert_eq!(observe(engine, &key).await, running);

    expect(engine.pause_container(&key).await);
    expect(engine.pause_container(&key).await);
    expect(engine.start_container(&key).await);
    assert_eq!(state(engine, &key).await, ContainerState::Paused);
    expect(engine.resume_container(&key).await);
    expect(engine.resume_container(&key).await);
    assert_eq!(observe(engine, &key).await, running);

    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    let stopped = observe(engine, &key).await;
    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    assert_eq!(observe(engine, &key).await, stopped);

    expect(engine.remove_container(&key).await);
    expect(engine.remove_container(&key).await);
    expect(engine.stop_container(&key, None, Duration::ZERO).await);
    assert!(!expect(engine.observe().await).containers.contains_key(&key));
}

/// The config is kept as it was given, and as it was updated since.
pub async fn observed_config_is_what_was_asked_for(engine: &dyn Engine, world: &World) {
    let mut asked = shell("exit 0");
    asked.env.insert("GREETING".to_owned(), "good day".to_owned());
    asked.labels.insert("team".to_owned(), "shop".to_owned());
    asked.hostname = Some("front".to_owned());
    asked.resources.memory = Some(64 << 20);
    let key = create(engine, world, "kept", asked.clone()).await;
    assert_eq!(observe(engine, &key).await.config, asked);

    let resources = Resources { memory: Some(96 << 20), cpu_millis: Some(500), pids: Some(50) };
    expect(engine.update_container(&key, &resources, &asked.log).await);
    assert_eq!(observe(engine, &key).await.config, ContainerConfig { resources, ..asked });
}

/// The rotation of a log can be changed, and is told then.
pub async fn log_rotation_changes_in_place(engine: &dyn Engine, world: &World) {
    let asked = shell("exit 0");
    let key = create(engine, world, "kept", asked.clone()).await;
    let log = LogRotation { max_size: 1 << 16, max_files: 2 };
    expect(engine.update_container(&key, &asked.resources, &log).await);
    let config = observe(engine, &key).await.config;
    assert_eq!(config.log, log);
    assert_eq!(config, ContainerConfig { log, ..asked });
}

/// A container that was only created is stopped and removed, both twice.
pub async fn a_container_that_never_ran_is_removed(engine: &dyn Engine, world: &World) {
    let key = create(engine, world, "idle", shell("sleep infinity")).await;
    for _ in 0..2 {
        expect(engine.stop_container(&key, None, Duration::ZERO).await);
        assert_eq!(state(engine, &key).await, ContainerState::Created);
    }
    for _ in 0..2 {
        expect(engine.remove_container(&key).await);
        assert!(expect(engine.observe().await).containers.is_empty());
    }
}
