//! The processes of a container.

use std::time::Duration;

use homeostat_reconciler::ports::{ContainerProcess, Engine};

use crate::world::expect;
use crate::{PATIENCE, World, create, observe, run, shell, wait_for_log};

/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Every process of a container is told as its host knows it, and none of anybody else.
pub async fn processes_are_told_as_the_host_knows_them(engine: &dyn Engine, world: &World) {
    run(engine, world, "other", shell("exec sleep 987651")).await;
    let script = "sleep 987652 & echo ready; while :; do :; done";
    let key = run(engine, world, "busy", shell(script)).await;
    wait_for_log(engine, &key, "ready").await;
    let told = async {
        loop {
            let told = expect(engine.processes(&key).await);
            if told.len() == 2 && told.iter().any(|process| process.cpu >= Duration::from_secs(1)) {
                return told;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("both are told, with the time of one");
    let first = observe(engine, &key).await.pid;
    let find = |command: &str| -> &ContainerProcess {
        let found = told.iter().find(|process| process.command == command);
        found.unwrap_or_else(|| panic!("no {command:?} in {told:?}"))
    };
    let shell = find(&format!("/bin/sh -c {script}"));
    assert_eq!((Some(shell.pid), shell.user.as_str()), (first, "root"));
    assert!(shell.cpu >= Duration::from_secs(1) && shell.cpu < PATIENCE, "{told:?}");
    let child = find("sleep 987652");
    let command = fs_err::read_to_string(format!("/proc/{}/cmdline", child.pid)).unwrap();
    assert_eq!(command, "sleep\0987652\0");
    assert!(child.cpu < shell.cpu);
}

/// A user that the engine's host does not know is told by its number.
pub async fn a_process_of_nobody_known_is_told_by_its_number(engine: &dyn Engine, world: &World) {
    let mut asked = shell("exec sleep infinity");
    asked.user = Some("54321".to_owned());
    let key = run(engine, world, "stranger", asked).await;
    let told = expect(engine.processes(&key).await);
    assert_eq!(told.iter().map(|process| process.user.as_str()).collect::<Vec<_>>(), ["54321"]);
}

/// A container that does not run has no processes to tell of.
pub async fn only_what_runs_has_processes(engine: &dyn Engine, world: &World) {
    let idle = create(engine, world, "idle", shell("exec sleep infinity")).await;
    engine.processes(&idle).await.unwrap_err();
    expect(engine.start_container(&idle).await);
    assert_eq!(expect(engine.processes(&idle).await).len(), 1);
    expect(engine.stop_container(&idle, Some("SIGKILL"), PATIENCE).await);
    engine.processes(&idle).await.unwrap_err();
}

/// A paused container has its processes still.
pub async fn a_paused_container_has_its_processes(engine: &dyn Engine, world: &World) {
    let key = run(engine, world, "frozen", shell("exec sleep infinity")).await;
    expect(engine.pause_container(&key).await);
    let told = engine.processes(&key).await;
    expect(engine.resume_container(&key).await);
    assert_eq!(expect(told).len(), 1);
}
