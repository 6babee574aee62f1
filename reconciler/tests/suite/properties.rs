//! What holds of every plan, whatever is wanted and whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::{Execution, Loop};
use homeostat_reconciler::fake::specs::{app, build, container, health, key, name, network, port, volume};
use homeostat_reconciler::fake::{Behaviour, Random};
use homeostat_reconciler::{ContainerState, Desired, Override, Plan, ResourceId, ResourceKey, WaitReason};
use homeostat_spec::{
    App, Container, ContainerImage, DependencyCondition, DesiredState, Image, Mount, MountSource,
    NetworkMode, RestartPolicy, SourcePath,
};
use proptest::prelude::*;

const APPS: [&str; 3] = ["a", "b", "c"];
const CONTAINERS: [&str; 3] = ["x", "y", "z"];

pub(crate) fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[usize::try_from(random.below(from.len() as u64)).unwrap()]
}

/// Any source that the compiler would let pass: no circles, no host port or subnet twice.
pub(crate) fn any_desired(random: &mut Random) -> Desired {
    let mut taken = BTreeSet::new();
    let mut desired = Desired { revision: random.below(1000).to_string(), ..Desired::default() };
    for text in APPS {
        if random.per_mille(800) {
            desired.apps.insert(name(text), any_app(text, random, &mut taken));
        }
    }
    desired
}

fn any_app(text: &str, random: &mut Random, taken: &mut BTreeSet<String>) -> App {
    let mut app = app(text);
    app.images.insert(name("built"), Image::Build(build(pick(random, &["d1", "d2"]))));
    for volume_name in ["v", "w"] {
        if random.per_mille(700) {
            // The name tells, so that a test can tell afterwards.
            app.volumes.insert(name(volume_name), volume(volume_name == "v"));
        }
    }
    for network_name in ["m", "n"] {
        let subnet = pick(random, &[None, Some("10.1.0.0/24"), Some("10.2.0.0/24"), Some("10.3.0.0/24")]);
        if random.per_mille(700) && subnet.is_none_or(|subnet| taken.insert(subnet.to_owned())) {
            app.networks.insert(name(network_name), network(subnet));
        }
    }
    for container_name in CONTAINERS {
        if random.per_mille(700) {
            let container = any_container(&app, random, taken);
            app.containers.insert(name(container_name), container);
        }
    }
    app
}

fn any_container(app: &App, random: &mut Random, taken: &mut BTreeSet<String>) -> Container {
    use DesiredState as Want;
    let mut container = container(pick(random, &["nginx", "pg"]));
    if random.per_mille(300) {
        container.image = ContainerImage::Local(name("built"));
    }
    container.state =
        pick(random, &[Want::Running, Want::Running, Want::Created, Want::Paused, Want::Exited]);
    container.restart = pick(random, &[RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::No]);
    container.health = random.per_mille(300).then(health);
    container.config.read_only = random.per_mille(200);
    container.config.resources.pids = pick(random, &[None, Some(64), Some(128)]);
    let number = pick(random, &[80, 81, 82]);
    if random.per_mille(500) && taken.insert(number.to_string()) {
        container.config.ports = vec![port(number)];
    }
    for volume in app.volumes.keys().filter(|_| random.per_mille(400)) {
        let source = MountSource::Volume(volume.clone());
        container.config.mounts.push(Mount { source, target: format!("/{volume}"), read_only: false });
    }
    if random.per_mille(300) {
        let digest = pick(random, &["c1", "c2"]).to_owned();
        let source = MountSource::Source(SourcePath { path: "conf".to_owned(), digest });
        container.config.mounts.push(Mount { source, target: "/conf".to_owned(), read_only: true });
    }
    if let Some(network) = app.networks.keys().find(|_| random.per_mille(400)) {
        container.config.network = NetworkMode::Named(network.clone());
    }
    for (other, depended) in &app.containers {
        if random.per_mille(300) {
            container.depends_on.insert(other.clone(), any_condition(depended, random));
        }
    }
    container
}

/// A condition that can come true.
fn any_condition(of: &Container, random: &mut Random) -> DependencyCondition {
    match of.state {
        DesiredState::Exited => DependencyCondition::Completed,
        _ if of.health.is_some() => {
            pick(random, &[DependencyCondition::Started, DependencyCondition::Healthy])
        }
        _ => DependencyCondition::Started,
    }
}

fn every_key() -> impl Iterator<Item = ResourceKey> {
    APPS.into_iter().flat_map(|app| CONTAINERS.into_iter().map(move |name| key(&format!("{app}/{name}"))))
}

/// Something happens to the host, the source or the agent.
fn any_event(agent: &mut Loop, random: &mut Random) {
    let keys: Vec<ResourceKey> = every_key().collect();
    let key = keys[usize::try_from(random.below(keys.len() as u64)).unwrap()].clone();
    match random.below(13) {
        0 => agent.world.power_cut(),
        1 | 2 => agent.world.exit(&key, Some(pick(random, &[0, 1, 137]))),
        3 => drop(agent.world.pause_container(&key)),
        4 => drop(agent.world.resume_container(&key)),
        5 => drop(agent.world.start_container(&key)),
        6 => agent.record = homeostat_reconciler::Record::default(),
        7 => {
            let millis = pick(random, &[1, 50, 1000, 20_000, 700_000]);
            agent.advance(Duration::from_millis(millis));
        }
        8 => {
            let ends = Behaviour { ends_after: Duration::from_secs(random.below(20)), code: 1 };
            agent.world.behaviours.insert(key, ends);
        }
        9 => {
            // The clock is set back.
            let earlier = agent.world.now().checked_sub(Duration::from_secs(random.below(10_000))).unwrap();
            agent.world.advance_to(earlier);
        }
        10 => agent.desired = any_desired(random),
        11 => {
            let run = agent.world.observe().containers.get(&key).and_then(|actual| actual.started_at);
            let kept = [
                Override::Stopped { grace: None },
                Override::Paused,
                Override::Again { run, grace: Some(Duration::ZERO) },
            ];
            let kept = kept[usize::try_from(random.below(3)).unwrap()].clone();
            agent.desired.overrides.insert(key, kept);
        }
        _ => agent.probe(random, 700),
    }
}

/// Faults and events, for a while.
fn turbulence(agent: &mut Loop, random: &mut Random) {
    agent.world.observed_mut().abilities.update_resources = random.per_mille(700);
    for _ in 0..random.below(30) {
        any_event(agent, random);
        if random.per_mille(600) {
            let plan = agent.plan();
            let how = pick(random, &[Execution::Whole, Execution::Wave, Execution::Killed]);
            agent.execute(&plan, how, random, 150);
        }
    }
    agent.desired.overrides.clear();
}

/// From now on nothing goes wrong any more: services run, one-shots end well.
pub(crate) fn calm(agent: &mut Loop) {
    agent.world.behaviours = every_key()
        .filter(|key| agent.desired.container(key).is_some_and(|one| one.state == DesiredState::Exited))
        .map(|key| (key, Behaviour { ends_after: Duration::from_secs(5), code: 0 }))
        .collect();
}

/// A dependency that can only come true if the user does something.
fn waits_for_the_user(agent: &Loop, plan: &Plan) -> BTreeSet<ResourceKey> {
    let mut stuck = BTreeSet::new();
    for waiting in &plan.waiting {
        let ResourceId::Declared(_, key) = &waiting.resource else { panic!("{waiting:?}") };
        let WaitReason::Dependency { on, condition } = &waiting.reason else { panic!("{waiting:#?}") };
        let observed = agent.world.observe();
        let container = agent.desired.container(on).unwrap();
        let actual = &observed.containers[on];
        // One that ended for good was started; it just never gets healthy.
        let never_runs = container.state == DesiredState::Created
            || (actual.state == ContainerState::Exited
                && container.restart != RestartPolicy::Always
                && *condition != DependencyCondition::Started)
            || (container.state == DesiredState::Paused && *condition == DependencyCondition::Healthy);
        let failed = *condition == DependencyCondition::Completed
            && actual.exit.as_ref().is_none_or(|exit| !exit.success());
        assert!(never_runs || failed || stuck.contains(on), "{waiting:#?}\n{container:#?}\n{actual:#?}");
        stuck.insert(key.clone());
    }
    stuck
}

fn assert_as_wanted(agent: &Loop, plan: &Plan) {
    let stuck = waits_for_the_user(agent, plan);
    let observed = agent.world.observe();
    for (key, container) in agent.desired.containers() {
        let actual = observed.containers.get(&key).unwrap_or_else(|| panic!("{key} is not there"));
        if stuck.contains(&key) {
            continue;
        }
        assert_eq!(actual.config, container.config, "{key}");
        let may_stay_exited = container.restart != RestartPolicy::Always;
        match (container.state, actual.state) {
            (DesiredState::Created, ContainerState::Created)
            | (DesiredState::Running, ContainerState::Running)
            | (DesiredState::Paused, ContainerState::Paused)
            | (DesiredState::Exited, ContainerState::Exited) => {}
            (DesiredState::Running | DesiredState::Paused, ContainerState::Exited) if may_stay_exited => {}
            (wanted, state) => panic!("{key} is {state:?}, wanted {wanted:?}"),
        }
    }
    if agent.desired.apps.is_empty() {
        return;
    }
    assert!(observed.containers.keys().all(|key| agent.desired.container(key).is_some()));
    // A container that waits for the user is kept as it was, and so is what it uses.
    let kept: BTreeSet<_> = stuck.iter().map(|key| &key.app).collect();
    for network in observed.networks.keys().filter(|network| !kept.contains(&network.app)) {
        assert!(agent.desired.apps[&network.app].networks.contains_key(&network.name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_turbulence_everything_gets_as_wanted_and_stays_so(seed: u64) {
        let mut random = Random::of(seed);
        let mut agent = Loop::new(any_desired(&mut random));
        turbulence(&mut agent, &mut random);
        calm(&mut agent);
        let plan = agent.settle();
        if !agent.desired.apps.is_empty() {
            assert_as_wanted(&agent, &plan);
        }
        for _ in 0..3 {
            agent.advance(Duration::from_mins(10));
            agent.probe(&mut random, 1000);
            prop_assert!(agent.step().steps.is_empty());
        }
    }

    #[test]
    fn volumes_that_are_to_be_retained_are_never_removed(seed: u64) {
        let mut random = Random::of(seed);
        let mut agent = Loop::new(any_desired(&mut random));
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            turbulence(&mut agent, &mut random);
            let volumes = agent.world.observe().volumes;
            seen.extend(volumes.iter().filter(|volume| volume.name.as_str() == "v").cloned());
            prop_assert!(seen.is_subset(&volumes), "{seen:?} {volumes:?}");
        }
    }

    #[test]
    fn an_app_that_always_fails_does_not_keep_the_others_from_converging(seed: u64) {
        let mut random = Random::of(seed);
        let mut agent = Loop::new(any_desired(&mut random));
        turbulence(&mut agent, &mut random);
        agent.desired = any_desired(&mut random);
        let mut broken = app("broken");
        broken.containers.insert(name("x"), container("gone"));
        agent.desired.apps.insert(name("broken"), broken);
        agent.world.unavailable.insert("gone".to_owned());
        calm(&mut agent);
        for _ in 0..60 {
            agent.probe(&mut random, 1000);
            agent.step();
            agent.advance(Duration::from_secs(6));
        }
        let mut plan = agent.plan();
        plan.waiting.retain(|waiting| !format!("{}", waiting.resource).contains("broken")
            && waiting.resource != ResourceId::Image("gone".to_owned()));
        agent.desired.apps.remove("broken");
        assert_as_wanted(&agent, &plan);
    }

    #[test]
    fn nothing_of_a_broken_app_is_touched(seed: u64) {
        let mut random = Random::of(seed);
        let mut agent = Loop::new(any_desired(&mut random));
        turbulence(&mut agent, &mut random);
        agent.desired = any_desired(&mut random);
        agent.desired.apps.remove("a");
        agent.desired.broken.insert(name("a"), "broken".to_owned());
        let of_app = |agent: &Loop| -> BTreeMap<_, _> {
            let containers = agent.world.observe().containers.into_iter();
            containers.filter(|(key, _)| key.app == name("a")).collect()
        };
        agent.world.behaviours.clear();
        let before = of_app(&agent);
        for _ in 0..20 {
            let plan = agent.step();
            prop_assert!(plan.steps.iter().all(|step| step.resource.app() != Some(&name("a"))));
            agent.advance(Duration::from_secs(30));
        }
        prop_assert_eq!(before, of_app(&agent));
    }
}
