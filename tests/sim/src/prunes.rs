//! What the loop promises about prunes.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat::controller::{Command, Until};
use homeostat::view::View;
use homeostat_reconciler::ErrorKind;
use homeostat_reconciler::fake::{Fault, FaultTime, Operation};
use homeostat_reconciler::ports::{EventKind, Store as _};
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::machine::Machine;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

const WEB: &str = "[container.web]\nimage = \"registry.example/app:1\"\n";
const POLICY: &str = "[prune]\ninterval = \"6h\"\n[prune.images]\nolder_than = \"1h\"\n";

fn specs<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, text)| (format!("{name}.toml"), text.to_owned())).collect()
}

/// A machine with an old image on it that nobody needs.
fn littered(directory: &std::path::Path) -> Machine {
    let machine = Machine::new(directory);
    machine.engine.with_world(|world| world.bring_image("old:1").unwrap());
    machine
}

async fn converge<const N: usize>(machine: &mut Machine, files: [(&str, &str); N]) {
    machine.source.replace(specs(files), true);
    machine.play(&machine.desired(&specs(files)));
    machine.start();
    assert!(machine.sees(HOUR, View::is_converged).await);
    // Everybody goes on until nobody can without time passing.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn has_old(machine: &Machine) -> bool {
    machine.engine.with_world(|world| world.observe().images.contains_key("old:1"))
}

fn prunes(machine: &Machine) -> usize {
    let calls = machine.engine.take_calls();
    calls.iter().filter(|(operation, _)| *operation == Operation::Prune).count()
}

fn events(machine: &Machine) -> Vec<String> {
    let events = machine.store.events(usize::MAX).unwrap();
    let pruned = events.into_iter().filter(|event| event.kind == EventKind::Pruned);
    pruned.map(|event| event.message).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_nothing_is_pruned() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    converge(&mut machine, [("one", WEB)]).await;
    tokio::time::sleep(240 * HOUR).await;
    assert!(has_old(&machine));
    assert_eq!(prunes(&machine), 0);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_pruned_at_the_interval_and_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
    assert!(has_old(&machine), "it is not old yet");
    assert_eq!(prunes(&machine), 1);
    tokio::time::sleep(6 * HOUR + MINUTE).await;
    assert!(!has_old(&machine));
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(prunes(&machine), 5);
    assert_eq!(events(&machine), ["1 × image: 1.0 MiB freed"]);
    assert!(machine.view().unwrap().is_converged());
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_interval_goes_on_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
    tokio::time::sleep(2 * HOUR).await;
    machine.kill().await;
    machine.engine.take_calls();
    machine.start();
    tokio::time::sleep(3 * HOUR + 59 * MINUTE).await;
    assert_eq!(prunes(&machine), 0);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(prunes(&machine), 1);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_prune_begins_while_steps_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    machine.engine.set_hanging(Operation::BuildImage, true);
    let built = "[image.app]\nbuild = { context = \"./app\" }\n[container.web]\nimage = \"app\"\n";
    machine.source.replace(specs([("one", built), ("homeostat", POLICY)]), true);
    machine.start();
    // A build that is silent for longer is given up.
    tokio::time::sleep(50 * MINUTE).await;
    assert_eq!(prunes(&machine), 0);
    machine.engine.set_hanging(Operation::BuildImage, false);
    assert!(machine.sees(MINUTE, View::is_converged).await);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(prunes(&machine), 1);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_tried_again_does_not_hold_up_prunes() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    machine.engine.with_world(|world| world.unavailable.insert("registry.example/app:1".to_owned()));
    machine.source.replace(specs([("one", WEB), ("homeostat", POLICY)]), true);
    machine.start();
    tokio::time::sleep(7 * HOUR).await;
    assert!(!has_old(&machine));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_prune_that_fails_is_tried_again_less_and_less_often_and_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    machine.engine.inject(Fault {
        operation: Operation::Prune,
        on: None,
        times: 5,
        time: FaultTime::Before,
        kind: ErrorKind::Transient,
    });
    converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
    // After 0, 1, 3, 7 and 15 minutes, and then well.
    tokio::time::sleep(32 * MINUTE).await;
    assert_eq!(prunes(&machine), 6);
    let told = machine.store.events(usize::MAX).unwrap();
    assert_eq!(told.iter().filter(|event| event.message.starts_with("the prune failed")).count(), 1);
    assert!(machine.view().unwrap().is_converged());
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_delays_a_prune_by_no_more_than_its_interval() {
    for years in [-3, 3] {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = littered(directory.path());
        converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
        machine.clock.set_by(SignedDuration::from_hours(years * 365 * 24));
        machine.kill().await;
        machine.engine.take_calls();
        machine.start();
        tokio::time::sleep(6 * HOUR + MINUTE).await;
        assert!(prunes(&machine) >= 1, "{years}");
        machine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_while_it_is_not_known_what_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
    machine.kill().await;
    machine.store.lose();
    machine.source.set_failing(true);
    machine.engine.take_calls();
    machine.start();
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(prunes(&machine), 0);
    machine.source.set_failing(false);
    assert!(machine.sees(HOUR, View::is_converged).await);
    tokio::time::sleep(MINUTE).await;
    assert!(!has_old(&machine));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_leaves_the_last_one_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    converge(&mut machine, [("one", WEB), ("homeostat", POLICY)]).await;
    machine.source.replace(specs([("one", WEB), ("homeostat", "[prune]\nothers = true\n")]), true);
    machine.tell(Command::Sync).await;
    tokio::time::sleep(7 * HOUR).await;
    assert!(!has_old(&machine));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn converging_once_prunes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = littered(directory.path());
    machine.clock.set_by(SignedDuration::from_hours(24));
    machine.source.replace(specs([("one", WEB), ("homeostat", POLICY)]), true);
    machine.start_until(Until::Settled(Instant::now() + HOUR));
    machine.ended().await;
    assert!(has_old(&machine));
    assert_eq!(prunes(&machine), 0);
}
