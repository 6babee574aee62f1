//! What an engine cannot do is refused in the plan, and holds up nothing else.

use crate::support::Loop;
use homeostat_reconciler::fake::specs::{app_with, container, desired, in_state, key};
use homeostat_reconciler::{
    Abilities, Action, Cause, ContainerState, Plan, ResourceId, ResourceKind, Step, WaitReason, lint,
};
use homeostat_spec::{Container, DesiredState, Resources};

fn limited() -> Container {
    let mut container = container("nginx");
    container.config.resources = Resources { memory: Some(1 << 20), ..Resources::default() };
    container
}

fn without_memory_limit(agent: &mut Loop) {
    agent.world.observed_mut().abilities = Abilities { memory_limit: false, ..Abilities::default() };
}

#[test]
fn a_limit_that_the_engine_cannot_keep_is_refused_and_holds_up_no_other_container() {
    let apps = desired([app_with("web", [("limited", limited()), ("plain", container("nginx"))])]);
    let mut agent = Loop::new(apps);
    without_memory_limit(&mut agent);
    let plan = agent.settle();
    let [waiting] = plan.waiting.as_slice() else { panic!("{plan:#?}") };
    assert_eq!(waiting.resource, ResourceId::container(&key("web/limited")));
    assert_eq!(
        waiting.reason.to_string(),
        "not possible with this engine: it cannot limit memory (resources.memory)"
    );
    assert_eq!(waiting.until, None, "time alone does not help");
    let observed = agent.world.observe();
    assert_eq!(observed.containers.keys().collect::<Vec<_>>(), [&key("web/plain")]);
}

#[test]
fn what_runs_is_kept_going_when_its_spec_asks_for_what_the_engine_cannot_do() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    agent.settle();
    let web = key("web/web");
    let id = agent.world.observe().containers[&web].id.clone();
    without_memory_limit(&mut agent);
    agent.desired = desired([app_with("web", [("web", limited())])]);
    assert_eq!(agent.settle().steps, []);
    assert_eq!(agent.world.observe().containers[&web].state, ContainerState::Running);
    agent.world.exit(&web, Some(1));
    agent.settle();
    let actual = &agent.world.observe().containers[&web];
    assert_eq!((actual.state, &actual.id), (ContainerState::Running, &id));
}

#[test]
fn a_container_to_be_paused_is_not_even_started_by_an_engine_that_cannot_pause() {
    let paused = in_state(DesiredState::Paused, container("nginx"));
    let mut agent = Loop::new(desired([app_with("web", [("web", paused)])]));
    agent.world.observed_mut().abilities.pause = false;
    let plan = agent.settle();
    assert!(matches!(plan.waiting[0].reason, WaitReason::Unsupported { .. }), "{plan:#?}");
    assert!(agent.world.observe().containers.is_empty());
}

#[test]
fn a_limit_is_changed_by_a_new_container_where_the_engine_cannot_update_it() {
    let mut agent = Loop::new(desired([app_with("web", [("web", container("nginx"))])]));
    agent.world.observed_mut().abilities.update_resources = false;
    agent.settle();
    agent.desired = desired([app_with("web", [("web", limited())])]);
    let lines: Vec<String> = agent.step().steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "stop container web/web: resources.memory changed",
            "remove container web/web: resources.memory changed",
            "create container web/web: resources.memory changed",
            "start container web/web: resources.memory changed",
        ]
    );
    assert!(agent.settle().is_converged());
}

#[test]
fn the_linter_finds_what_the_engine_cannot_do() {
    let mut agent = Loop::new(desired([app_with("web", [("web", limited())])]));
    agent.settle();
    let web = &agent.desired.apps["web"].containers["web"].config;
    let (resources, log) = (Resources { pids: Some(9), ..Resources::default() }, web.log.clone());
    let create =
        Action::CreateContainer { image: "nginx".to_owned(), config: Box::new(web.clone()), attended: false };
    let actions = [
        (create, "the engine cannot do what is declared"),
        (Action::PauseContainer, "the engine cannot pause"),
        (Action::UpdateContainer { resources, log }, "the engine cannot update that"),
    ];
    let abilities =
        Abilities { memory_limit: false, update_resources: false, pause: false, ..Abilities::default() };
    agent.world.observed_mut().abilities = abilities;
    for (action, expected) in actions {
        let resource = ResourceId::Declared(ResourceKind::Container, key("web/web"));
        let steps = vec![Step { resource, action, cause: Cause::Missing, after: Vec::new() }];
        let plan = Plan { steps, ..Plan::default() };
        let findings = lint(&plan, &agent.desired, &agent.world.observe(), &agent.record, agent.world.now());
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:#?}");
    }
}
