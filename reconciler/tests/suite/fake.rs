//! The fake engine does what an engine does, and fails when told to.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::task::noop_waker_ref;
use homeostat_reconciler::fake::specs::{container, key};
use homeostat_reconciler::fake::{
    Behaviour, Chaos, FakeClock, FakeEngine, Fault, FaultTime, Operation, Random,
};
use homeostat_reconciler::ports::{ContainerRequest, Engine, EngineEvent, Progress, ProgressStep};
use homeostat_reconciler::{ContainerState, ErrorKind};
use jiff::Timestamp;

struct Quiet;

impl Progress for Quiet {
    fn step(&self, _step: &ProgressStep) {}
    fn cached(&self, _step: usize) {}
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, _line: &str) {}
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(noop_waker_ref());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn engine() -> (Arc<FakeClock>, FakeEngine) {
    let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
    let engine = FakeEngine::new(clock.clone());
    (clock, engine)
}

fn running() -> (Arc<FakeClock>, FakeEngine) {
    let (clock, engine) = engine();
    run(engine.pull_image("nginx", &Quiet)).unwrap();
    let config = container("nginx").config;
    let request = ContainerRequest {
        key: key("web/web"),
        image: "nginx".to_owned(),
        config,
        files: "/files".into(),
        attended: false,
    };
    run(engine.create_container(&request)).unwrap();
    run(engine.start_container(&key("web/web"))).unwrap();
    (clock, engine)
}

fn state(engine: &FakeEngine) -> Option<ContainerState> {
    run(engine.observe()).unwrap().containers.get(&key("web/web")).map(|container| container.state)
}

#[test]
fn a_container_lives_until_it_is_stopped_and_outlives_the_agent() {
    let (_, engine) = running();
    let again = engine.clone();
    drop(engine);
    assert_eq!(state(&again), Some(ContainerState::Running));
    assert!(run(again.remove_container(&key("web/web"))).is_err());
    run(again.stop_container(&key("web/web"), None, Duration::ZERO)).unwrap();
    run(again.remove_container(&key("web/web"))).unwrap();
    run(again.remove_container(&key("web/web"))).unwrap();
    assert_eq!(state(&again), None);
}

#[test]
fn a_container_ends_by_itself_when_the_clock_says_so() {
    let (clock, engine) = running();
    let mut events = engine.events();
    let ends = Behaviour { ends_after: Duration::from_secs(5), code: 3 };
    engine.with_world(|world| world.behaviours.insert(key("web/web"), ends));
    clock.advance(Duration::from_secs(4));
    assert_eq!(state(&engine), Some(ContainerState::Running));
    clock.advance(Duration::from_secs(1));
    assert_eq!(state(&engine), Some(ContainerState::Exited));
    assert_eq!(run(events.next()), Some(EngineEvent::ContainerExited(key("web/web"))));
}

#[test]
fn an_injected_fault_strikes_as_often_as_it_says_before_or_after_the_effect() {
    let (_, engine) = running();
    let fault = |time| Fault {
        operation: Operation::PauseContainer,
        on: Some("web/web".to_owned()),
        times: 1,
        time,
        kind: ErrorKind::Transient,
    };
    engine.inject(fault(FaultTime::Before));
    assert!(run(engine.pause_container(&key("web/web"))).is_err());
    assert_eq!(state(&engine), Some(ContainerState::Running));
    engine.inject(fault(FaultTime::After));
    assert!(run(engine.pause_container(&key("web/web"))).is_err());
    assert_eq!(state(&engine), Some(ContainerState::Paused));
    run(engine.pause_container(&key("web/web"))).unwrap();
}

#[test]
fn a_call_that_is_dropped_half_way_may_or_may_not_have_happened() {
    let (_, engine) = running();
    let web = key("web/web");
    let mut context = Context::from_waker(noop_waker_ref());
    {
        let mut call = engine.pause_container(&web);
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(state(&engine), Some(ContainerState::Running));
    {
        let mut call = engine.pause_container(&web);
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(state(&engine), Some(ContainerState::Paused));
}

#[test]
fn a_power_cut_ends_everything_unseen() {
    let (_, engine) = running();
    engine.power_cut();
    let exit = run(engine.observe()).unwrap().containers[&key("web/web")].exit.clone().unwrap();
    assert_eq!(exit.code, None);
}

#[test]
fn chaos_follows_from_its_seed() {
    let outcomes = |seed| {
        let (_, engine) = running();
        engine.set_chaos(Some(Chaos {
            random: Random::of(seed),
            before_per_mille: 300,
            after_per_mille: 300,
            lost_per_mille: 0,
        }));
        let outcomes: Vec<bool> = (0..40).map(|_| run(engine.observe()).is_ok()).collect();
        outcomes
    };
    assert_eq!(outcomes(1), outcomes(1));
    assert_ne!(outcomes(1), outcomes(2));
    assert!(outcomes(1).contains(&true) && outcomes(1).contains(&false));
}

#[test]
fn lost_events_are_made_up_for_when_the_chaos_ends() {
    let (_, engine) = running();
    let mut events = engine.events();
    let random = Random::of(0);
    let chaos = Chaos { random, before_per_mille: 0, after_per_mille: 0, lost_per_mille: 1000 };
    engine.set_chaos(Some(chaos));
    engine.exit_container(&key("web/web"), 1);
    engine.set_chaos(None);
    assert_eq!(run(events.next()), Some(EngineEvent::Changed));
}

#[test]
fn a_clock_that_is_set_back_does_not_make_a_container_live_longer() {
    let (clock, engine) = running();
    let ends = Behaviour { ends_after: Duration::from_secs(5), code: 0 };
    engine.with_world(|world| world.behaviours.insert(key("web/web"), ends));
    clock.set(Timestamp::UNIX_EPOCH.checked_sub(Duration::from_hours(1)).unwrap());
    assert_eq!(state(&engine), Some(ContainerState::Running));
    clock.advance(Duration::from_secs(5));
    assert_eq!(state(&engine), Some(ContainerState::Exited));
}

#[test]
fn calls_are_noted() {
    let (_, engine) = running();
    let calls = engine.take_calls();
    assert_eq!(
        calls,
        [
            (Operation::PullImage, "nginx".to_owned()),
            (Operation::CreateContainer, "web/web".to_owned()),
            (Operation::StartContainer, "web/web".to_owned()),
        ]
    );
    assert!(engine.take_calls().is_empty());
}
