//! What people ask for on the host itself: containers of their own, and other states than declared.

use std::time::Duration;

use crate::support::Loop;
use homeostat_reconciler::fake::specs::{app_with, container, desired, key, name, volume};
use homeostat_reconciler::{
    ByHand, ByHandApp, ByHandContainer, ContainerState, Desired, HoldReason, Override, Plan, WaitReason,
};
use homeostat_spec::{Container, DesiredState, Mount, MountSource, RestartPolicy};

/// A container of somebody, in an app.
fn asked(app: &str, container_name: &str, container: Container, auto_remove: bool) -> ByHand {
    let mut by_hand = ByHand::default();
    let mut of_app = ByHandApp::default();
    of_app.containers.insert(name(container_name), ByHandContainer { container, auto_remove });
    by_hand.apps.insert(name(app), of_app);
    by_hand
}

fn once(image: &str) -> Container {
    Container { restart: RestartPolicy::No, ..container(image) }
}

fn state(agent: &Loop, text: &str) -> Option<ContainerState> {
    agent.world.observe().containers.get(&key(text)).map(|actual| actual.state)
}

fn web() -> Desired {
    desired([app_with("web", [("x", container("nginx"))])])
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

/// What is wanted now, as the loop of an agent has it.
fn follow(agent: &mut Loop, declared: &Desired, by_hand: &mut ByHand) -> usize {
    agent.desired = by_hand.complete(declared);
    let ended = by_hand.settle(&agent.desired, &agent.world.observe());
    agent.desired = by_hand.complete(declared);
    ended.len()
}

#[test]
fn what_was_asked_for_by_hand_is_beside_what_is_declared_and_goes_when_it_is_forgotten() {
    let declared = web();
    let mut by_hand = asked("run", "y", once("pg"), false);
    let mut agent = Loop::new(by_hand.complete(&declared));
    agent.settle();
    assert_eq!(state(&agent, "run/y"), Some(ContainerState::Running));
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
    agent.world.exit(&key("run/y"), Some(0));
    assert_eq!(agent.settle().steps, [], "it is not restarted");
    assert!(by_hand.remove(&key("run/y")) && !by_hand.remove(&key("run/y")));
    assert_eq!(by_hand, ByHand { removed: [key("run/y")].into(), ..ByHand::default() });
    agent.desired = by_hand.complete(&Desired::default());
    agent.settle();
    assert_eq!(state(&agent, "run/y"), None, "it goes also where there is no source");
    agent.desired = by_hand.complete(&declared);
    by_hand.settle(&agent.desired, &agent.world.observe());
    assert_eq!(by_hand, ByHand::default());
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
}

#[test]
fn in_an_app_of_the_source_it_uses_its_volumes_and_never_takes_the_place_of_what_is_declared() {
    let mut declared = web();
    let app = declared.apps.get_mut(&name("web")).unwrap();
    app.volumes.insert(name("data"), volume(true));
    let mut one_off = once("pg");
    let source = MountSource::Volume(name("data"));
    one_off.config.mounts = vec![Mount { source, target: "/data".to_owned(), read_only: false }];
    let mut by_hand = asked("web", "y", one_off, false);
    let impostor = ByHandContainer { container: container("pg"), auto_remove: false };
    by_hand.apps.get_mut(&name("web")).unwrap().containers.insert(name("x"), impostor);
    let mut agent = Loop::new(by_hand.complete(&declared));
    agent.settle();
    assert_eq!(state(&agent, "web/y"), Some(ContainerState::Running));
    assert_eq!(agent.world.observe().containers[&key("web/x")].image, "nginx");
    assert_eq!(agent.desired.apps[&name("web")].file, "web.toml");
}

#[test]
fn an_empty_source_keeps_what_was_declared_and_what_was_asked_for_by_hand_goes_on() {
    let mut agent = Loop::new(web());
    agent.settle();
    let by_hand = asked("run", "y", once("pg"), false);
    agent.desired = by_hand.complete(&Desired::default());
    let plan = agent.settle();
    assert_eq!(state(&agent, "run/y"), Some(ContainerState::Running));
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
    let held: Vec<_> = plan.held.iter().map(|held| (held.resource.to_string(), held.reason)).collect();
    assert_eq!(held, [("container web/x".to_owned(), HoldReason::EmptySource)]);
}

#[test]
fn one_more_in_an_app_of_a_source_that_is_empty_now_takes_nothing_of_that_app_along() {
    let mut agent = Loop::new(web());
    agent.settle();
    let mut by_hand = asked("web", "y", once("pg"), false);
    follow(&mut agent, &Desired::default(), &mut by_hand);
    agent.settle();
    assert_eq!(state(&agent, "web/y"), Some(ContainerState::Running));
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
    by_hand.remove(&key("web/y"));
    // It is declared meanwhile: that it was to go once is forgotten.
    let declared = desired([app_with("web", [("y", once("pg"))])]);
    follow(&mut agent, &declared, &mut by_hand);
    follow(&mut agent, &Desired::default(), &mut by_hand);
    agent.settle();
    assert_eq!(state(&agent, "web/y"), Some(ContainerState::Running));
}

#[test]
fn while_nobody_knows_what_was_asked_for_by_hand_nothing_undeclared_is_removed() {
    let mut agent = Loop::new(asked("run", "y", once("pg"), false).complete(&web()));
    agent.settle();
    agent.desired = Desired { by_hand_is_unknown: true, ..web() };
    agent.settle();
    assert_eq!(state(&agent, "run/y"), Some(ContainerState::Running));
    agent.desired.by_hand_is_unknown = false;
    agent.settle();
    assert_eq!(state(&agent, "run/y"), None);
}

#[test]
fn what_is_to_be_removed_after_its_run_is_forgotten_when_it_has_ended() {
    let declared = web();
    let mut by_hand = asked("run", "y", once("pg"), true);
    let mut agent = Loop::new(by_hand.complete(&declared));
    agent.settle();
    assert_eq!(follow(&mut agent, &declared, &mut by_hand), 0, "it runs");
    agent.world.exit(&key("run/y"), Some(3));
    agent.desired = by_hand.complete(&declared);
    let ended = by_hand.settle(&agent.desired, &agent.world.observe());
    assert_eq!(ended[0].0, key("run/y"));
    assert_eq!(ended[0].1.code, Some(3));
    agent.desired = by_hand.complete(&declared);
    agent.settle();
    assert_eq!(state(&agent, "run/y"), None);
}

#[test]
fn stopped_by_hand_it_stays_so_through_power_cuts_and_changes_until_it_is_taken_back() {
    let mut agent = Loop::new(web());
    agent.settle();
    let grace = Some(Duration::from_secs(3));
    agent.desired.overrides.insert(key("web/x"), Override::Stopped { grace });
    let plan = agent.plan();
    assert_eq!(lines(&plan), ["stop container web/x: asked for by hand"]);
    let action = &plan.steps[0].action;
    assert!(format!("{action:?}").contains("3s"), "{action:?}");
    let plan = agent.settle();
    let kept = WaitReason::KeptByHand { state: ContainerState::Exited };
    assert!(plan.is_converged() && plan.waiting[0].reason == kept, "{plan:?}");
    agent.world.power_cut();
    agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Exited));
    let changed = agent.desired.apps.get_mut(&name("web")).unwrap();
    changed.containers.get_mut(&name("x")).unwrap().config.read_only = true;
    agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Created), "made anew, and not started");
    agent.desired.overrides.clear();
    agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
}

#[test]
fn paused_by_hand_it_is_frozen_until_it_is_taken_back() {
    let mut agent = Loop::new(web());
    agent.settle();
    agent.desired.overrides.insert(key("web/x"), Override::Paused);
    assert!(agent.settle().is_converged());
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Paused));
    agent.desired.overrides.clear();
    agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
}

#[test]
fn asked_to_run_again_it_does_so_once_whatever_its_policy_says() {
    let declared = desired([app_with("web", [("x", once("nginx"))])]);
    let mut by_hand = ByHand::default();
    let mut agent = Loop::new(declared.clone());
    agent.settle();
    let run = |agent: &Loop| agent.world.observe().containers[&key("web/x")].started_at;
    for ended in [false, true] {
        let before = run(&agent);
        agent.advance(Duration::from_secs(1));
        if ended {
            agent.world.exit(&key("web/x"), Some(0));
            assert_eq!(agent.settle().steps, []);
        }
        by_hand.overrides.insert(key("web/x"), Override::Again { run: before, grace: None });
        follow(&mut agent, &declared, &mut by_hand);
        agent.settle();
        assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running));
        assert_ne!(run(&agent), before);
        follow(&mut agent, &declared, &mut by_hand);
        assert_eq!(by_hand, ByHand::default(), "it is done");
        assert_eq!(agent.settle().steps, []);
    }
}

#[test]
fn a_one_shot_runs_again_when_it_is_asked_to() {
    let migrate = Container { state: DesiredState::Exited, ..container("migrate") };
    let declared = desired([app_with("web", [("x", migrate)])]);
    let mut agent = Loop::new(declared.clone());
    agent.step();
    let before = agent.world.observe().containers[&key("web/x")].started_at;
    agent.advance(Duration::from_secs(1));
    agent.world.exit(&key("web/x"), Some(0));
    assert_eq!(agent.settle().steps, []);
    agent.desired.overrides.insert(key("web/x"), Override::Again { run: before, grace: None });
    assert_eq!(lines(&agent.step()), ["start container web/x: asked for by hand"]);
    agent.world.exit(&key("web/x"), Some(0));
    assert_eq!(agent.settle().steps, []);
}

#[test]
fn what_depends_on_what_is_stopped_by_hand_waits_for_it() {
    let mut dependent = container("nginx");
    let condition = homeostat_spec::DependencyCondition::Started;
    dependent.depends_on.insert(name("db"), condition);
    let mut agent = Loop::new(desired([app_with("web", [("db", container("pg")), ("x", dependent)])]));
    agent.settle();
    agent.desired.overrides.insert(key("web/db"), Override::Stopped { grace: None });
    agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Running), "what runs is left alone");
    agent.world.exit(&key("web/x"), Some(1));
    let plan = agent.settle();
    assert_eq!(state(&agent, "web/x"), Some(ContainerState::Exited));
    assert!(plan.waiting.iter().any(|waiting| matches!(waiting.reason, WaitReason::Dependency { .. })));
}
