//! The loop takes over what its specs ask for, and nothing else.

use homeostat::view::View;
use homeostat_reconciler::fake::{Operation, World};
use homeostat_reconciler::{ContainerState, WaitReason};
use homeostat_spec::ContainerConfig;

use crate::machine::Machine;
use crate::promises::{A_WHILE, SECOND, WEB, converged, key, settle, specs, started};

fn adopting() -> String {
    format!("{WEB}adopt = \"old\"\n")
}

/// Somebody runs a container called `old` with this configuration.
fn run_by_hand(machine: &Machine, config: &ContainerConfig) {
    let create = |world: &mut World| {
        world.create_foreign("old", "registry.example/app:1", config, ContainerState::Running)
    };
    machine.engine.with_world(create).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_container_is_taken_over_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("two", WEB)]).await;
    let wanted = machine.desired(&specs([("one", WEB)]));
    run_by_hand(&machine, &wanted[&key("one/web")].config);
    let there = machine.engine.with_world(|world| world.find_foreign(&["old".to_owned()].into()));
    machine.engine.take_calls();
    machine.source.replace(specs([("one", &adopting()), ("two", WEB)]), true);
    let taken = |view: &View| view.is_converged() && view.observed.containers.contains_key(&key("one/web"));
    assert!(machine.sees(SECOND, taken).await);
    assert_eq!(machine.view().unwrap().observed.containers[&key("one/web")], there["old"].container);
    let calls = machine.engine.take_calls();
    let looks = [Operation::Observe, Operation::FindForeign];
    let changes: Vec<_> = calls.into_iter().filter(|(operation, _)| !looks.contains(operation)).collect();
    assert_eq!(changes, [(Operation::AdoptContainer, "one/web".to_owned())]);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_over_waits_for_the_user_and_keeps_nobody_busy() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = started(directory.path(), []).await;
    let wanted = machine.desired(&specs([("one", &format!("{WEB}read_only = true\n"))]));
    run_by_hand(&machine, &wanted[&key("one/web")].config);
    machine.source.replace(specs([("one", &adopting())]), true);
    let refused = |view: &View| {
        view.plan.waiting.iter().any(|waiting| matches!(waiting.reason, WaitReason::NotAdoptable { .. }))
    };
    assert!(machine.sees(SECOND, refused).await);
    settle().await;
    machine.engine.take_calls();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(machine.engine.take_calls(), []);
    assert!(machine.engine.with_world(|world| world.observe().containers.is_empty()));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_engine_is_not_asked_for_what_nothing_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    let calls = machine.engine.take_calls();
    assert!(calls.iter().all(|(operation, _)| *operation != Operation::FindForeign), "{calls:?}");
    machine.stop().await;
}
