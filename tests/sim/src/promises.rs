//! What the loop promises, each in a test of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use homeostat::controller::{Command, Until};
use homeostat::reader::Reader;
use homeostat::view::View;
use homeostat_reconciler::fake::{Chaos, Operation, Random};
use homeostat_reconciler::ports::{ExecOutcome, Snapshot, Source, Store};
use homeostat_reconciler::{ContainerState, ErrorKind, PortError, ResourceKey};
use homeostat_spec::SourcePath;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::machine::Machine;

pub(crate) const DAY: Duration = Duration::from_hours(24);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any back-off.
pub(crate) const A_WHILE: Duration = Duration::from_mins(12);

pub(crate) const WEB: &str = "[container.web]\nimage = \"registry.example/app:1\"\n";
const BUILT: &str = "[image.app]\nbuild = { context = \"./app\" }\n[container.web]\nimage = \"app\"\n";

/// Specs by the name of their app.
pub(crate) fn specs<const N: usize>(apps: [(&str, &str); N]) -> BTreeMap<String, String> {
    apps.into_iter().map(|(app, text)| (format!("{app}.toml"), text.to_owned())).collect()
}

pub(crate) fn key(text: &str) -> ResourceKey {
    text.parse().unwrap()
}

pub(crate) fn is_running(view: &View, container: &str) -> bool {
    let actual = view.observed.containers.get(&key(container));
    actual.is_some_and(|actual| actual.state == ContainerState::Running)
}

pub(crate) fn observes(machine: &Machine) -> usize {
    let calls = machine.engine.take_calls();
    calls.iter().filter(|(operation, _)| *operation == Operation::Observe).count()
}

/// Lets everybody go on until nobody can without time passing.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A machine with these specs in its source and its agent running.
pub(crate) async fn started<const N: usize>(directory: &Path, apps: [(&str, &str); N]) -> Machine {
    let mut machine = Machine::new(directory);
    machine.source.replace(specs(apps), true);
    machine.play(&machine.desired(&specs(apps)));
    machine.start();
    settle().await;
    machine
}

pub(crate) async fn converged<const N: usize>(directory: &Path, apps: [(&str, &str); N]) -> Machine {
    let machine = started(directory, apps).await;
    assert!(machine.sees(A_WHILE, View::is_converged).await);
    settle().await;
    machine
}

#[tokio::test(start_paused = true)]
async fn a_converged_host_without_health_checks_wakes_nobody_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB), ("two", BUILT)]).await;
    let (polls, writes) = (machine.polls(), machine.store.writes());
    tokio::time::sleep(DAY).await;
    assert_eq!((machine.polls(), machine.store.writes()), (polls, writes));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_saved_when_it_changes_and_probes_that_tell_nothing_new_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let checked = format!("{WEB}restart = \"no\"\nhealth = {{ command = [\"check\"], interval = \"5s\" }}\n");
    let mut machine = converged(directory.path(), [("one", &checked)]).await;
    let writes = machine.store.writes();
    tokio::time::sleep(Duration::from_hours(1)).await;
    // As at every poll of a repository, the loop looks and finds the same.
    machine.tell(Command::Sync).await;
    settle().await;
    assert_eq!(machine.store.writes(), writes);
    machine.engine.set_exec(&key("one/web"), ExecOutcome { code: Some(1), output: String::new() });
    tokio::time::sleep(A_WHILE).await;
    let saved = machine.store.load().unwrap().record.containers[&key("one/web")].health.clone();
    assert_eq!(saved.status.to_string(), "unhealthy");
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_saved_after_a_later_look() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    machine.store.set_full(true);
    machine.engine.exit_container(&key("one/web"), 1);
    machine.source.replace(specs([("one", WEB), ("two", WEB)]), true);
    assert!(machine.sees(SECOND, |view| view.is_converged() && is_running(view, "two/web")).await);
    assert_eq!(machine.store.load().unwrap().apps.len(), 1);
    machine.store.set_full(false);
    machine.tell(Command::Look).await;
    settle().await;
    let stored = machine.store.load().unwrap();
    assert_eq!((stored.apps.len(), stored.record.containers[&key("one/web")].restarts), (2, 1));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_hangs_delays_nothing_but_what_needs_its_image() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(directory.path());
    machine.engine.set_hanging(Operation::BuildImage, true);
    machine.source.replace(specs([("slow", BUILT), ("one", WEB)]), true);
    machine.start();
    assert!(machine.sees(SECOND, |view| is_running(view, "one/web")).await);
    for _ in 0..3 {
        // Each run lasts, so that the next start does not back off.
        tokio::time::sleep(Duration::from_secs(20)).await;
        machine.engine.exit_container(&key("one/web"), 1);
        let pid = machine.view().unwrap().observed.containers[&key("one/web")].pid;
        let again =
            |view: &View| is_running(view, "one/web") && view.observed.containers[&key("one/web")].pid != pid;
        assert!(machine.sees(Duration::from_millis(10), again).await);
    }
    machine.source.replace(specs([("slow", BUILT), ("two", WEB)]), true);
    let followed = |view: &View| is_running(view, "two/web") && !is_running(view, "one/web");
    assert!(machine.sees(SECOND, followed).await);
    machine.engine.set_hanging(Operation::BuildImage, false);
    assert!(machine.sees(SECOND, View::is_converged).await);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_revision_does_not_wait_for_what_an_older_one_began() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(directory.path());
    machine.engine.set_hanging(Operation::BuildImage, true);
    machine.source.replace(specs([("one", BUILT)]), true);
    machine.start();
    settle().await;
    machine.source.replace(specs([("one", WEB)]), true);
    assert!(machine.sees(SECOND, |view| is_running(view, "one/web")).await);
    machine.engine.take_calls();
    machine.engine.set_hanging(Operation::BuildImage, false);
    assert!(machine.sees(SECOND, View::is_converged).await);
    let calls = machine.engine.take_calls();
    assert!(calls.iter().all(|(operation, _)| *operation != Operation::CreateContainer), "{calls:?}");
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_without_end_do_not_keep_the_loop_from_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    let engine = machine.engine.clone();
    let flood = tokio::spawn(async move {
        loop {
            engine.exit_container(&key("nobody/knows"), 1);
            tokio::task::yield_now().await;
        }
    });
    machine.source.replace(specs([("two", WEB)]), true);
    // No time passes in this.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(is_running(&machine.view().unwrap(), "two/web"));
    flood.abort();
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_asked_less_and_less_often() {
    let directory = tempfile::tempdir().unwrap();
    let missing = "registry.example/app:1".to_owned();
    let mut machine = Machine::new(directory.path());
    machine.engine.with_world(|world| world.unavailable.insert(missing.clone()));
    machine.source.replace(specs([("one", WEB)]), true);
    machine.start();
    settle().await;
    machine.engine.set_blind(true);
    machine.engine.take_calls();
    // The pull is due again after a second; what was planned then waits for the engine.
    tokio::time::sleep(Duration::from_mins(10)).await;
    let observes = observes(&machine);
    assert!((10..20).contains(&observes), "{observes}");
    machine.engine.set_blind(false);
    machine.engine.with_world(|world| world.unavailable.clear());
    assert!(machine.sees(Duration::from_secs(62), View::is_converged).await);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_read_again_at_doubling_times() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(directory.path());
    machine.source.set_failing(true);
    machine.start();
    // At 0, 5, 15, 35, 75, 155, 315 and 615 s.
    for (seconds, reads) in [(1, 1), (5, 2), (10, 3), (20, 4), (40, 5), (80, 6), (160, 7), (300, 8), (300, 9)]
    {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(machine.view().unwrap().source.reads, reads);
    }
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_by_hours_delays_nothing_by_hours() {
    for hours in [-6, 6] {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = Machine::new(directory.path());
        let missing = "registry.example/app:1".to_owned();
        machine.engine.with_world(|world| world.unavailable.insert(missing.clone()));
        let checked = format!("{WEB}health = {{ command = [\"check\"] }}\n").replace("app:1", "app:2");
        machine.source.replace(specs([("one", WEB), ("two", &checked)]), true);
        machine.start();
        // It backs off, by minutes now.
        tokio::time::sleep(Duration::from_mins(20)).await;
        machine.clock.set_by(SignedDuration::from_hours(hours));
        machine.engine.with_world(|world| world.unavailable.clear());
        assert!(machine.sees(A_WHILE, View::is_converged).await, "{hours}");
        machine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_were_lost_are_made_up_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    let chaos =
        Chaos { random: Random::of(0), before_per_mille: 0, after_per_mille: 0, lost_per_mille: 1000 };
    machine.engine.set_chaos(Some(chaos));
    machine.engine.exit_container(&key("one/web"), 1);
    tokio::time::sleep(DAY).await;
    machine.engine.take_calls();
    machine.engine.set_chaos(None);
    tokio::time::sleep(SECOND).await;
    let calls = machine.engine.take_calls();
    assert!(calls.contains(&(Operation::StartContainer, "one/web".to_owned())), "{calls:?}");
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_in_a_one_shot_does_not_leave_its_dependents_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let migrate = "[container.migrate]\nimage = \"registry.example/migrate:1\"\nstate = \"exited\"\n";
    let app = format!("{WEB}depends_on = {{ migrate = \"completed\" }}\n{migrate}");
    let mut machine = started(directory.path(), [("one", &app)]).await;
    assert!(machine.sees(SECOND, |view| is_running(view, "one/migrate")).await);
    machine.kill().await;
    machine.engine.power_cut();
    machine.start();
    assert!(machine.sees(A_WHILE, View::is_converged).await);
    assert!(is_running(&machine.view().unwrap(), "one/web"));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn converging_once_waits_a_little_for_an_engine_and_no_longer() {
    for (seconds, converges) in [(3, true), (600, false)] {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = Machine::new(directory.path());
        machine.engine.set_blind(true);
        machine.source.replace(specs([("one", WEB)]), true);
        let begin = Instant::now();
        machine.start_until(Until::Settled(begin + DAY));
        let engine = machine.engine.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            engine.set_blind(false);
        });
        machine.ended().await;
        assert!(begin.elapsed() < Duration::from_secs(20));
        let runs = machine.engine.with_world(|world| world.observe().containers.len() == 1);
        assert_eq!(runs, converges);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_panics_is_a_reading_that_failed() {
    let mut reader = Reader::new(Arc::new(Hostile));
    reader.request();
    let error = reader.next().await.err().expect("nothing can be read");
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(!reader.is_busy());
}

/// A source that finds a bug.
struct Hostile;

#[async_trait]
impl Source for Hostile {
    fn describe(&self) -> String {
        "hostile".to_owned()
    }

    async fn snapshot(&self) -> Result<Snapshot, PortError> {
        panic!("a bug")
    }

    async fn export(&self, _: &Snapshot, _: &SourcePath, _: &Path) -> Result<(), PortError> {
        panic!("a bug")
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}
