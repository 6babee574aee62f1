//! An engine that cannot be seen is waited for, and is never mistaken for one that runs nothing.

use std::time::Duration;

use homeostat::view::View;
use homeostat_reconciler::ShownState;
use homeostat_reconciler::fake::Operation;
use homeostat_reconciler::ports::{EngineInfo, Store as _};
use tokio::time::Instant;

use crate::machine::Machine;
use crate::promises::{A_WHILE, SECOND, WEB, converged, is_running, key, settle, specs};
use homeostat::controller::{Command, Until};

const MINUTE: Duration = Duration::from_mins(1);

/// A container that is restarted as soon as its check has failed once.
fn checked() -> String {
    format!("{WEB}health = {{ command = [\"check\"], interval = \"5s\", retries = 1 }}\n")
}

/// What is asked of an engine without changing anything.
fn only_looks(calls: &[(Operation, String)]) -> bool {
    calls.iter().all(|(operation, _)| matches!(operation, Operation::Observe | Operation::Exec))
}

fn engine() -> EngineInfo {
    EngineInfo { name: "fake".to_owned(), version: None, storage: None }
}

fn shown(view: &View) -> Vec<ShownState> {
    view.status(&engine()).apps.iter().flat_map(|app| &app.containers).map(|one| one.actual).collect()
}

/// The ways in which an engine can be out of sight.
fn hide(machine: &Machine, hangs: bool, hidden: bool) {
    if hangs {
        machine.engine.set_hanging(Operation::Observe, hidden);
        machine.engine.set_hanging(Operation::Exec, hidden);
    } else {
        machine.engine.set_away(hidden);
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_out_of_sight_for_a_minute_is_followed_by_nothing() {
    for hangs in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = converged(directory.path(), [("one", &checked()), ("two", WEB)]).await;
        let before = machine.engine.with_world(|world| world.observe());
        let events = machine.store.events(usize::MAX).unwrap().len();
        machine.engine.take_calls();
        hide(&machine, hangs, true);
        machine.tell(Command::Look).await;
        tokio::time::sleep(MINUTE).await;
        let view = machine.view().unwrap();
        let trouble = view.engine_error.clone().expect("it is noticed");
        assert!(trouble.since < trouble.next_look && !view.is_converged(), "{trouble}");
        assert_eq!(shown(&view), [ShownState::Running, ShownState::Running], "nothing is reported gone");
        hide(&machine, hangs, false);
        assert!(machine.sees(MINUTE * 2, View::is_converged).await);
        tokio::time::sleep(A_WHILE).await;
        let calls = machine.engine.take_calls();
        assert!(only_looks(&calls), "{calls:?}");
        assert_eq!(machine.engine.with_world(|world| world.observe()), before);
        let events = machine.store.events(usize::MAX).unwrap().split_off(events);
        let told: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
        assert!(told[0].starts_with("the engine cannot be seen: "), "{told:?}");
        assert!(told[1].starts_with("the engine can be seen again, after "), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
        machine.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_starts_while_the_engine_is_away_says_that_it_knows_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    machine.kill().await;
    machine.engine.set_away(true);
    machine.engine.take_calls();
    machine.start();
    assert!(machine.sees(SECOND, |view| view.engine_error.is_some()).await);
    let view = machine.view().unwrap();
    assert_eq!(shown(&view), [ShownState::Unknown]);
    let app = &view.status(&engine()).apps[0];
    assert_eq!((app.synced, app.message.as_deref()), (false, Some("the engine was not seen yet")));
    machine.engine.set_away(false);
    assert!(machine.sees(MINUTE, View::is_converged).await);
    assert_eq!(shown(&machine.view().unwrap()), [ShownState::Running]);
    assert!(only_looks(&machine.engine.take_calls()));
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_failed_with_the_engine_is_tried_again_seconds_after_its_return_and_not_minutes() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(directory.path());
    let image = "registry.example/app:1".to_owned();
    machine.engine.with_world(|world| world.unavailable.insert(image));
    machine.source.replace(specs([("one", WEB)]), true);
    machine.start();
    // It backs off by minutes now.
    tokio::time::sleep(Duration::from_mins(10)).await;
    machine.engine.set_hanging(Operation::PullImage, true);
    tokio::time::sleep(Duration::from_mins(6)).await;
    // The engine goes away in the middle of the next attempt.
    machine.engine.set_away(true);
    machine.engine.set_hanging(Operation::PullImage, false);
    assert!(machine.sees(SECOND, |view| view.engine_error.is_some()).await);
    machine.engine.with_world(|world| world.unavailable.clear());
    machine.engine.set_away(false);
    machine.tell(Command::Look).await;
    let back = Instant::now();
    assert!(machine.sees(Duration::from_secs(10), View::is_converged).await);
    assert!(back.elapsed() > SECOND, "it may be what brought the engine down");
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_of_an_engine_that_works_counts() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", &checked())]).await;
    machine.engine.set_hanging(Operation::Exec, true);
    machine.engine.take_calls();
    tokio::time::sleep(MINUTE).await;
    let calls = machine.engine.take_calls();
    assert!(calls.contains(&(Operation::StopContainer, "one/web".to_owned())), "{calls:?}");
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_ends_is_given_up_and_others_get_their_turn() {
    let directory = tempfile::tempdir().unwrap();
    // More than are done at once.
    let names: Vec<String> = (0..20).map(|number| format!("app{number}")).collect();
    let mut machine = Machine::new(directory.path());
    machine.engine.set_hanging(Operation::StartContainer, true);
    let all = names.iter().map(|name| (format!("{name}.toml"), WEB.to_owned())).collect();
    machine.source.replace(all, true);
    machine.start();
    settle().await;
    machine.source.replace(specs([("other", "[volume.data]\n")]), true);
    let made = |view: &View| view.observed.volumes.contains(&key("other/data"));
    assert!(machine.sees(Duration::from_mins(11), made).await);
    machine.engine.set_hanging(Operation::StartContainer, false);
    assert!(machine.sees(A_WHILE, |view| view.is_converged() && !is_running(view, "app0/web")).await);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_ends_at_once_also_while_the_engine_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    machine.engine.set_hanging(Operation::Observe, true);
    machine.tell(Command::Look).await;
    settle().await;
    let begin = Instant::now();
    machine.stop().await;
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_is_told_while_the_engine_hangs_is_done_once_it_answers() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    machine.engine.set_hanging(Operation::Observe, true);
    machine.tell(Command::Look).await;
    settle().await;
    machine.tell(Command::Down).await;
    settle().await;
    machine.engine.set_hanging(Operation::Observe, false);
    machine.ended().await;
    assert!(machine.engine.with_world(|world| world.observe().containers.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn who_asks_an_agent_that_starts_is_told_within_seconds_that_the_engine_was_not_seen() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = converged(directory.path(), [("one", WEB)]).await;
    machine.kill().await;
    machine.engine.set_hanging(Operation::Observe, true);
    machine.start();
    assert!(machine.sees(SECOND * 6, |view| !view.seen && !view.is_converged()).await);
    assert_eq!(shown(&machine.view().unwrap()), [ShownState::Unknown]);
    machine.engine.set_hanging(Operation::Observe, false);
    assert!(machine.sees(SECOND, View::is_converged).await);
    machine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn converging_once_with_an_engine_that_hangs_ends_seconds_after_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(directory.path());
    machine.engine.set_hanging(Operation::Observe, true);
    machine.source.replace(specs([("one", WEB)]), true);
    let begin = Instant::now();
    machine.start_until(Until::Settled(begin + SECOND * 3));
    machine.ended().await;
    assert!(begin.elapsed() < SECOND * 10, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_down_does_not_wait_for_ever_for_an_engine_that_hangs() {
    for operation in [Operation::Observe, Operation::StopContainer] {
        let directory = tempfile::tempdir().unwrap();
        let mut machine = converged(directory.path(), [("one", WEB)]).await;
        machine.engine.set_hanging(operation, true);
        machine.tell(Command::Halt).await;
        let begin = Instant::now();
        machine.ended().await;
        assert!(begin.elapsed() < MINUTE, "{operation:?}: {:?}", begin.elapsed());
    }
}
