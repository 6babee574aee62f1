//! What a spec takes over is taken as it is, or left alone.

use std::collections::BTreeMap;

use crate::properties::{any_desired, calm, pick};
use crate::support::{Execution, Loop};
use homeostat_reconciler::fake::Random;
use homeostat_reconciler::fake::specs::{
    app_with, container, desired, in_state, key, name, network, port, volume,
};
use homeostat_reconciler::{
    Action, Cause, ContainerState, ErrorKind, ForeignResource, ObservedContainer, Plan, PortError,
    ResourceId, ResourceKey, Step, WaitReason, lint,
};
use homeostat_spec::{
    Adopt, Container, ContainerConfig, DesiredState, Endpoint, Mount, MountSource, Network, NetworkMode,
    RestartPolicy, Volume,
};
use proptest::prelude::*;

fn adopting(adopt: Adopt) -> Container {
    let mut container = container("nginx");
    container.config.ports = vec![port(80)];
    container.adopt = Some(adopt);
    container
}

/// A host on which `foreign` runs under this name, and where `declared` is wanted as `shop/web`.
fn host(name: &str, foreign: &ContainerConfig, declared: Container) -> Loop {
    let mut agent = Loop::new(desired([app_with("shop", [("web", declared)])]));
    agent.world.create_foreign(name, "nginx", foreign, ContainerState::Running).unwrap();
    agent
}

fn there(agent: &Loop, name: &str) -> Option<ObservedContainer> {
    agent.world.find_foreign(&[name.to_owned()].into()).remove(name).map(|there| there.container)
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn a_container_of_compose_is_taken_over_and_runs_on() {
    let declared = adopting(Adopt::ByName);
    let mut agent = host("shop-web-1", &declared.config, declared.clone());
    let before = there(&agent, "shop-web-1").unwrap();
    assert_eq!(lines(&agent.step()), ["adopt container shop/web: takes over shop-web-1"]);
    assert!(agent.settle().is_converged());
    assert_eq!(agent.world.observe().containers[&key("shop/web")], before);
    assert_eq!(there(&agent, "shop-web-1"), None);
}

#[test]
fn a_container_that_is_named_is_taken_over_and_no_other() {
    let declared = adopting(Adopt::Named("old".to_owned()));
    let mut agent = host("old", &declared.config, declared.clone());
    agent
        .world
        .create_foreign("shop_web", "nginx", &container("nginx").config, ContainerState::Running)
        .unwrap();
    assert_eq!(lines(&agent.step()), ["adopt container shop/web: takes over old"]);
    assert!(agent.settle().is_converged());
    assert!(there(&agent, "shop_web").is_some());
}

#[test]
fn without_anything_to_take_over_the_container_is_created() {
    let mut agent = Loop::new(desired([app_with("shop", [("web", adopting(Adopt::ByName))])]));
    assert!(agent.settle().is_converged());
    assert_eq!(agent.world.observe().containers[&key("shop/web")].state, ContainerState::Running);
}

#[test]
fn what_nothing_asks_for_is_not_taken_over() {
    let mut declared = adopting(Adopt::ByName);
    declared.adopt = None;
    let mut agent = host("shop_web", &ContainerConfig::default(), declared);
    let plan = agent.settle();
    assert!(plan.is_converged(), "{plan:#?}");
    assert!(there(&agent, "shop_web").is_some());
}

#[test]
fn a_container_that_differs_is_left_alone_and_no_second_one_is_made_until_the_spec_fits() {
    let declared = adopting(Adopt::ByName);
    let mut foreign = declared.config.clone();
    foreign.env.insert("PASSWORD".to_owned(), "secret".to_owned());
    foreign.ports.clear();
    let mut agent = host("web", &foreign, declared);
    let before = there(&agent, "web");
    let plan = agent.settle();
    let [waiting] = plan.waiting.as_slice() else { panic!("{plan:#?}") };
    assert_eq!(
        waiting.reason.to_string(),
        "web is there and cannot be taken over as it is: env.PASSWORD: (hidden) -> unset, ports: unset -> [\"80:80\"]"
    );
    assert_eq!((waiting.until, plan.steps), (None, Vec::new()));
    assert_eq!(there(&agent, "web"), before);
    assert!(agent.world.observe().containers.is_empty());
    agent.desired.apps.get_mut("shop").unwrap().containers.get_mut("web").unwrap().config = foreign;
    assert_eq!(lines(&agent.step()), ["adopt container shop/web: takes over web"]);
    assert!(agent.settle().is_converged());
}

#[test]
fn limits_and_log_may_differ_and_are_changed_after_the_adoption() {
    let mut declared = adopting(Adopt::ByName);
    let foreign = declared.config.clone();
    declared.config.resources.pids = Some(64);
    let mut agent = host("shop_web", &foreign, declared.clone());
    let id = there(&agent, "shop_web").unwrap().id;
    agent.step();
    assert_eq!(lines(&agent.step()), ["update container shop/web: resources.pids changed"]);
    assert!(agent.settle().is_converged());
    assert_eq!(agent.world.observe().containers[&key("shop/web")].id, id);

    let mut agent = host("shop_web", &foreign, declared);
    agent.world.observed_mut().abilities.update_resources = false;
    let plan = agent.settle();
    assert!(matches!(plan.waiting[0].reason, WaitReason::NotAdoptable { .. }), "{plan:#?}");
}

#[test]
fn what_has_run_is_not_taken_over_as_what_never_did() {
    let declared = in_state(DesiredState::Created, adopting(Adopt::ByName));
    let mut agent = host("shop_web", &declared.config, declared.clone());
    let plan = agent.settle();
    let reason = plan.waiting[0].reason.to_string();
    assert!(reason.ends_with("state: running -> created"), "{reason}");
    assert!(there(&agent, "shop_web").is_some());
}

#[test]
fn the_restart_policy_holds_from_the_adoption_on() {
    for (policy, state) in
        [(RestartPolicy::Always, ContainerState::Running), (RestartPolicy::No, ContainerState::Exited)]
    {
        let mut declared = adopting(Adopt::ByName);
        declared.restart = policy;
        let mut agent = host("shop_web", &declared.config, declared.clone());
        agent.settle();
        agent.world.exit(&key("shop/web"), Some(1));
        agent.settle();
        assert_eq!(agent.world.observe().containers[&key("shop/web")].state, state);
    }
}

#[test]
fn an_adoption_comes_after_the_network_that_the_container_is_on() {
    let mut declared = adopting(Adopt::ByName);
    declared.config.network = NetworkMode::Named(name("front"));
    let mut agent = host("shop-web-1", &declared.config, declared.clone());
    agent.desired.apps.get_mut("shop").unwrap().networks.insert(name("front"), network(None));
    let plan = agent.step();
    assert_eq!(
        lines(&plan),
        ["create network shop/front: not there", "adopt container shop/web: takes over shop-web-1"]
    );
    assert_eq!(plan.steps[1].after, [0]);
}

#[test]
fn a_container_is_not_taken_over_before_it_is_known_that_its_image_is_the_declared_one() {
    let declared = adopting(Adopt::ByName);
    let mut agent = host("shop_web", &declared.config, declared.clone());
    agent.world.observed_mut().images.clear();
    agent.world.image_ids.insert("nginx".to_owned(), "sha256:newer".to_owned());
    let plan = agent.step();
    assert_eq!(lines(&plan), ["pull image nginx: not there"]);
    let plan = agent.settle();
    assert!(matches!(plan.waiting[0].reason, WaitReason::NotAdoptable { .. }), "{plan:#?}");
    assert!(there(&agent, "shop_web").is_some());
}

fn known_as(name: &str, owners: &[&str]) -> ForeignResource {
    ForeignResource { name: name.to_owned(), owners: owners.iter().map(|owner| key(owner)).collect() }
}

/// A container of Compose with a volume and a network, as an engine tells of it, that the app takes over or not.
fn with_volume_and_network(adopt: Option<Adopt>) -> Loop {
    let mut declared = adopting(Adopt::ByName);
    let mut foreign = declared.config.clone();
    let mount = |source| Mount { source, target: "/data".to_owned(), read_only: false };
    foreign.mounts = vec![mount(MountSource::Host("/var/lib/docker/volumes/shop_data/_data".to_owned()))];
    declared.config.mounts = vec![mount(MountSource::Volume(name("data")))];
    declared.config.network = NetworkMode::Named(name("front"));
    let mut agent = host("shop-web-1", &foreign, declared);
    let there = agent.world.foreign_mut("shop-web-1").unwrap();
    let owners = |key| if adopt.is_some() { vec![key] } else { Vec::new() };
    there.volumes.insert("/data".to_owned(), known_as("shop_data", &owners("shop/data")));
    there.networks = vec![known_as("shop_front", &owners("shop/front"))];
    let app = agent.desired.apps.get_mut("shop").unwrap();
    app.volumes.insert(name("data"), Volume { adopt: adopt.clone(), ..volume(true) });
    app.networks.insert(name("front"), Network { adopt, ..network(None) });
    agent
}

fn refused(plan: &Plan) -> Option<String> {
    plan.waiting.iter().find_map(|waiting| match &waiting.reason {
        reason @ WaitReason::NotAdoptable { .. } => Some(reason.to_string()),
        _ => None,
    })
}

#[test]
fn a_container_is_taken_over_in_one_plan_with_the_volume_and_the_network_that_it_has() {
    let listed = Adopt::AnyOf(vec!["shop_front".to_owned(), "shop_data".to_owned()]);
    for adopt in [Adopt::ByName, listed] {
        let mut agent = with_volume_and_network(Some(adopt));
        let plan = agent.step();
        assert_eq!(refused(&plan), None);
        assert_eq!(lines(&plan).last().unwrap(), "adopt container shop/web: takes over shop-web-1");
        assert_eq!(plan.steps.last().unwrap().after.len(), 2);
    }
}

#[test]
fn a_container_with_a_volume_and_a_network_that_the_app_does_not_take_over_is_left_alone() {
    let mut agent = with_volume_and_network(None);
    let refused = refused(&agent.settle()).unwrap();
    assert!(
        refused.contains("volumes./data: ") && refused.contains("network: shop_front -> front"),
        "{refused}"
    );
}

#[test]
fn what_the_app_has_under_another_name_is_not_taken_for_what_the_container_has() {
    let mut agent = with_volume_and_network(Some(Adopt::ByName));
    agent
        .world
        .foreign_mut("shop-web-1")
        .unwrap()
        .volumes
        .insert("/data".to_owned(), known_as("shop_data", &[]));
    agent.world.observed_mut().volumes.insert(key("shop/data"));
    assert!(refused(&agent.settle()).unwrap().contains("volumes./data: "));
}

#[test]
fn a_container_is_taken_over_with_all_its_networks_and_its_names_there() {
    let mut declared = adopting(Adopt::ByName);
    declared.config.network = NetworkMode::Named(name("back"));
    let endpoint = Endpoint { aliases: ["db".to_owned()].into(), address: Some([10, 1, 0, 9].into()) };
    declared.config.networks =
        [(name("back"), endpoint.clone()), (name("front"), Endpoint::default())].into();
    let mut agent = host("shop_web", &declared.config, declared.clone());
    for network_name in ["back", "front"] {
        let adopted = Network { adopt: Some(Adopt::ByName), ..network(None) };
        agent.desired.apps.get_mut("shop").unwrap().networks.insert(name(network_name), adopted.clone());
        agent.world.observed_mut().networks.insert(key(&format!("shop/{network_name}")), adopted);
    }
    let there = agent.world.foreign_mut("shop_web").unwrap();
    there.networks =
        ["back", "front"].map(|name| known_as(&format!("shop_{name}"), &[&format!("shop/{name}")])).into();
    assert!(refused(&agent.settle()).unwrap().contains("networks.back.aliases: unset -> [\"db\"]"));
    agent.world.foreign_mut("shop_web").unwrap().endpoints.insert("shop_back".to_owned(), endpoint);
    agent.settle();
    assert!(agent.world.observe().containers.contains_key(&key("shop/web")));
}

#[test]
fn what_no_spec_can_say_keeps_a_container_from_being_taken_over() {
    let declared = adopting(Adopt::ByName);
    let mut agent = host("shop_web", &declared.config, declared.clone());
    let there = agent.world.foreign_mut("shop_web").unwrap();
    there.beyond_specs.insert("privileged".to_owned(), "true".to_owned());
    there.networks = vec![known_as("back", &[]), known_as("front", &[])];
    there.volumes.insert("/scratch".to_owned(), known_as("0123", &[]));
    let refused = refused(&agent.settle()).unwrap();
    let expected =
        ["privileged: true -> unset", "volumes./scratch: 0123 -> unset", "network: back, front -> bridge"];
    assert!(expected.iter().all(|field| refused.contains(field)), "{refused}");
}

#[test]
fn one_container_is_not_taken_over_twice() {
    let mut declared = adopting(Adopt::ByName);
    declared.config.ports.clear();
    let mut agent = host("web", &declared.config, declared.clone());
    agent.desired.apps.insert(name("site"), app_with("site", [("web", declared)]));
    let plan = agent.step();
    let adoptions = plan.steps.iter().filter(|step| matches!(step.action, Action::AdoptContainer { .. }));
    assert_eq!(adoptions.count(), 1, "{plan:#?}");
    assert!(agent.settle().is_converged());
    assert_eq!(agent.world.observe().containers.len(), 2);
}

#[test]
fn an_adoption_that_fails_backs_off_and_nothing_is_created_meanwhile() {
    let declared = adopting(Adopt::ByName);
    let mut agent = host("shop_web", &declared.config, declared.clone());
    let plan = agent.plan();
    let error = PortError::new(ErrorKind::Transient, "the daemon is away");
    let now = agent.world.now();
    agent.record.step_failed(&agent.desired, &plan.steps[0], &error, now);
    let plan = agent.plan();
    assert_eq!(plan.steps, []);
    assert!(matches!(plan.waiting[0].reason, WaitReason::BackOff { .. }));
    assert!(agent.settle().is_converged());
}

#[test]
fn the_linter_finds_wrong_adoptions_and_creations_beside_what_is_to_be_taken_over() {
    let declared = adopting(Adopt::ByName);
    let agent = host("shop_web", &ContainerConfig::default(), declared.clone());
    let id = there(&agent, "shop_web").unwrap().id;
    let adopt = |id: &str, name: &str| Action::AdoptContainer { id: id.to_owned(), name: name.to_owned() };
    let create = Action::CreateContainer {
        image: "nginx".to_owned(),
        config: Box::new(declared.config),
        attended: false,
    };
    for (action, key, expected) in [
        (create, key("shop/web"), "what its spec takes over is there"),
        (adopt(&id, "shop_web"), key("shop/web"), "what is taken over differs"),
        (adopt("other", "shop_web"), key("shop/web"), "what is taken over is not there"),
        (adopt(&id, "someone"), key("shop/web"), "its spec does not take over that"),
        (adopt(&id, "shop_web"), key("shop/gone"), "it is not declared"),
    ] {
        let cause = Cause::Adopt { name: "shop_web".to_owned() };
        let steps = vec![Step { resource: ResourceId::container(&key), action, cause, after: Vec::new() }];
        let plan = Plan { steps, ..Plan::default() };
        let observed = agent.world.observe_for(&agent.desired);
        let findings = lint(&plan, &agent.desired, &observed, &agent.record, agent.world.now());
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:#?}");
    }
}

/// Lets some of the containers be taken over, and puts something there for some. Returns what is there.
fn any_foreign(agent: &mut Loop, random: &mut Random) -> BTreeMap<ResourceKey, (String, ObservedContainer)> {
    use ContainerState as State;
    let mut made = BTreeMap::new();
    let mut desired = agent.desired.clone();
    for (app, container_name, container) in desired
        .apps
        .values_mut()
        .flat_map(|app| app.containers.iter_mut().map(|(name, one)| (app.name.clone(), name.clone(), one)))
    {
        // A port would be held by what is not taken over, against all others for ever.
        container.config.ports.clear();
        let own = format!("old-{app}-{container_name}");
        container.adopt = pick(random, &[None, Some(true), Some(false)])
            .map(|by_name| if by_name { Adopt::ByName } else { Adopt::Named(own.clone()) });
        let engine_name = match &container.adopt {
            Some(Adopt::ByName) => format!("{app}-{container_name}-1"),
            _ => own,
        };
        if random.per_mille(600) {
            let mut config = container.config.clone();
            config.read_only ^= random.per_mille(300);
            let state = pick(random, &[State::Running, State::Running, State::Created, State::Paused]);
            agent.world.create_foreign(&engine_name, pick(random, &["nginx", "pg"]), &config, state).unwrap();
            let foreign = there(agent, &engine_name).unwrap();
            made.insert(ResourceKey::new(app, container_name), (engine_name, foreign));
        }
    }
    agent.desired = desired;
    made
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_is_taken_over_with_its_process_or_left_as_it_is(seed: u64) {
        let mut random = Random::of(seed);
        let mut agent = Loop::new(any_desired(&mut random));
        let made = any_foreign(&mut agent, &mut random);
        calm(&mut agent);
        for _ in 0..random.below(10) {
            let plan = agent.plan();
            let how = pick(&mut random, &[Execution::Whole, Execution::Wave, Execution::Killed]);
            agent.execute(&plan, how, &mut random, 150);
        }
        let plan = agent.settle();
        let observed = agent.world.observe();
        for (key, (engine_name, before)) in &made {
            let left = there(&agent, engine_name);
            let refused = plan.waiting.iter().any(|waiting| {
                waiting.resource == ResourceId::container(key)
                    && matches!(waiting.reason, WaitReason::NotAdoptable { .. })
            });
            let asked = agent.desired.container(key).is_some_and(|container| container.adopt.is_some());
            if refused || !asked {
                prop_assert_eq!(left.as_ref(), Some(before));
                prop_assert_eq!(refused, !observed.containers.contains_key(key));
                continue;
            }
            prop_assert_eq!(left, None, "{} is not taken over", key);
            let after = &observed.containers[key];
            prop_assert_eq!(&after.id, &before.id);
            let wanted = agent.desired.container(key).map(|container| container.state);
            if before.state == ContainerState::Running && wanted == Some(DesiredState::Running) {
                prop_assert_eq!(after.pid, before.pid);
            }
        }
    }
}
