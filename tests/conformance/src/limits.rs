//! Limits and what is used.

use std::time::Duration;

use homeostat_reconciler::ports::Engine;
use homeostat_spec::Resources;

use crate::networks::{fetch, server};
use crate::world::expect;
use crate::{PATIENCE, World, observe, run, run_to_end, shell, wait_exited, wait_for_log};

/// How much later than an end its cause may be known.
const A_MOMENT: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A container that the kernel killed for its memory is told apart from one that somebody killed.
pub async fn a_container_out_of_memory_is_told_so(engine: &dyn Engine, world: &World) {
    let mut asked = shell("exec tail /dev/zero");
    asked.resources.memory = Some(16 << 20);
    let key = run(engine, world, "greedy", asked).await;
    let mut status = wait_exited(engine, &key).await;
    assert_eq!(status.code, Some(137));
    // Docker may hear of the end first and of its cause a moment later.
    let told = async {
        while !status.oom_killed {
            tokio::time::sleep(LOOK_AGAIN).await;
            status = wait_exited(engine, &key).await;
        }
    };
    let told = tokio::time::timeout(A_MOMENT, told).await;
    assert!(told.is_ok(), "{status:?}");
}

/// More processes than allowed cannot be started.
pub async fn processes_are_limited(engine: &dyn Engine, world: &World) {
    let mut asked = shell("for i in $(seq 1 40); do sleep 100 & done; echo all");
    asked.resources.pids = Some(10);
    let (status, lines) = run_to_end(engine, world, "crowd", asked).await;
    assert_ne!(status.code, Some(0));
    assert!(!lines.contains(&"all".to_owned()), "{lines:?}");
}

/// New limits hold for what runs already, without another process.
pub async fn limits_change_in_place(engine: &dyn Engine, world: &World) {
    let mut asked = shell("echo ready; sleep infinity");
    asked.resources.memory = Some(64 << 20);
    let key = run(engine, world, "elastic", asked.clone()).await;
    wait_for_log(engine, &key, "ready").await;
    let before = observe(engine, &key).await;
    for memory in [Some(128 << 20), Some(32 << 20), None] {
        let resources = Resources { memory, cpu_millis: Some(300), pids: Some(20) };
        expect(engine.update_container(&key, &resources, &asked.log).await);
        assert_eq!(expect(engine.usage().await)[&key].memory_limit, memory);
        let seen = observe(engine, &key).await;
        assert_eq!(seen.config.resources, resources);
        assert_eq!((seen.pid, seen.started_at), (before.pid, before.started_at));
    }
}

/// CPU time and memory of what runs, and of nothing else.
pub async fn usage_is_told_of_what_runs(engine: &dyn Engine, world: &World) {
    let busy = run(engine, world, "busy", shell("while :; do :; done")).await;
    run_to_end(engine, world, "done", shell("exit 0")).await;
    let measured = async {
        loop {
            let usage = expect(engine.usage().await);
            assert_eq!(usage.keys().collect::<Vec<_>>(), [&busy]);
            let now = &usage[&busy];
            if now.cpu >= Duration::from_millis(50) && now.memory_usage > 0 && now.pids >= 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, measured).await.expect("use is counted");
}

/// What went over a container's network is counted, and a container without one has none to count.
pub async fn traffic_of_a_network_is_counted(engine: &dyn Engine, world: &World) {
    let port = world.free_port();
    let server = run(engine, world, "server", server("counted", port)).await;
    let alone = run(engine, world, "alone", shell("sleep infinity")).await;
    assert_eq!(fetch(&format!("127.0.0.1:{port}")).await, "counted");
    let usage = expect(engine.usage().await);
    let traffic = usage[&server].network.expect("it has a network");
    // A request and its answer take several packets.
    assert!(traffic.input > 100 && traffic.output > 100, "{traffic:?}");
    let without = usage[&alone].network.unwrap_or_default();
    assert_eq!((without.input, without.output), (0, 0));
}

/// A container gets no more processor time than it may have.
pub async fn processor_time_is_limited(engine: &dyn Engine, world: &World) {
    let mut asked = shell("while :; do :; done");
    asked.resources.cpu_millis = Some(100);
    let key = run(engine, world, "busy", asked).await;
    let used = async || expect(engine.usage().await)[&key].cpu;
    let (began, before) = (std::time::Instant::now(), used().await);
    // Not a wait for something: the time over which its use is measured.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (used, passed) = (used().await.saturating_sub(before), began.elapsed());
    assert!(used < passed / 4, "{used:?} in {passed:?}");
}
