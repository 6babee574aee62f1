//! What plans look like, a promise a test.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Execution, Loop};
use homeostat_reconciler::fake::specs::{
    app, app_with, build, container, desired, health, in_state, key, name, network, port, volume,
};
use homeostat_reconciler::fake::{Behaviour, Random};
use homeostat_reconciler::{
    Action, Cause, ContainerState, Desired, ErrorKind, HIDDEN, HoldReason, Plan, PortError, ResourceId,
    ResourceKind, WaitReason, build_reference,
};
use homeostat_spec::{
    App, Container, ContainerImage, DependencyCondition, DesiredState, Image, Mount, MountSource,
    NetworkMode, RestartPolicy, SourcePath, StopPolicy,
};

fn one(container: Container) -> Desired {
    desired([app_with("web", [("web", container)])])
}

fn settled(desired: Desired) -> Loop {
    let mut agent = Loop::new(desired);
    agent.settle();
    agent
}

fn built(digest: &str) -> App {
    let mut app = app_with("web", [("web", container("unused"))]);
    app.images.insert(name("web"), Image::Build(build(digest)));
    app.containers.get_mut("web").unwrap().image = ContainerImage::Local(name("web"));
    app
}

fn mount(source: MountSource, target: &str) -> Mount {
    Mount { source, target: target.to_owned(), read_only: false }
}

/// The steps of a plan, a line each.
fn lines(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

fn reasons(plan: &Plan) -> Vec<String> {
    plan.waiting.iter().map(|waiting| format!("{}: {}", waiting.resource, waiting.reason)).collect()
}

#[test]
fn from_nothing_the_whole_way_is_planned() {
    let mut app = built("d1");
    app.volumes.insert(name("data"), volume(true));
    app.networks.insert(name("front"), network(None));
    let web = app.containers.get_mut("web").unwrap();
    web.config.network = NetworkMode::Named(name("front"));
    web.config.mounts = vec![
        mount(MountSource::Volume(name("data")), "/data"),
        mount(
            MountSource::Source(SourcePath { path: "conf".to_owned(), digest: "c1".to_owned() }),
            "/etc/app",
        ),
    ];
    let reference = build_reference(&name("web"), &name("web"), &build("d1"));
    let mut agent = Loop::new(desired([app]));
    let plan = agent.step();
    assert_eq!(
        lines(&plan),
        [
            "build image web/web: not there",
            "write file c1: not there",
            "create volume web/data: not there",
            "create network web/front: not there",
            "create container web/web: not there",
            "start container web/web: not there",
        ]
    );
    assert_eq!(plan.steps[4].after, [0, 1, 2, 3]);
    assert!(
        matches!(&plan.steps[0].action, Action::BuildImage { reference: given, .. } if *given == reference)
    );
    assert!(agent.plan().is_converged());
}

#[test]
fn an_image_that_many_containers_use_is_pulled_once() {
    let one = app_with("a", [("x", container("nginx")), ("y", container("nginx"))]);
    let plan = Loop::new(desired([one, app_with("b", [("x", container("nginx"))])])).plan();
    assert_eq!(lines(&plan).iter().filter(|line| line.starts_with("pull")).count(), 1);
}

#[test]
fn a_changed_variable_recreates_only_its_container_and_hides_the_values() {
    let mut agent =
        settled(desired([app_with("web", [("web", container("nginx")), ("db", container("pg"))])]));
    let web = agent.desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap();
    web.config.env.insert("PASSWORD".to_owned(), "hunter2".to_owned());
    let plan = agent.step();
    assert_eq!(
        lines(&plan),
        [
            "stop container web/web: env.PASSWORD changed",
            "remove container web/web: env.PASSWORD changed",
            "create container web/web: env.PASSWORD changed",
            "start container web/web: env.PASSWORD changed",
        ]
    );
    let Cause::Changed(changes) = &plan.steps[0].cause else { panic!("{plan:?}") };
    assert_eq!((changes[0].old.as_deref(), changes[0].new.as_deref()), (None, Some(HIDDEN)));
    assert!(!serde_json::to_string(&plan.redacted()).unwrap().contains("hunter2"));
    assert!(agent.plan().is_converged());
}

#[test]
fn limits_and_log_rotation_are_changed_in_place() {
    let mut agent = settled(one(container("nginx")));
    let web = agent.desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap();
    web.config.resources.memory = Some(64 << 20);
    web.config.log.max_files = 5;
    let plan = agent.step();
    assert_eq!(lines(&plan), ["update container web/web: resources.memory, log.max_files changed"]);
    let Cause::Changed(changes) = &plan.steps[0].cause else { panic!("{plan:?}") };
    assert_eq!(changes[0].to_string(), "resources.memory: unset -> \"64MiB\"");
    assert!(agent.plan().is_converged());
}

#[test]
fn changed_content_of_a_mounted_file_recreates_the_container() {
    let config = |digest: &str| {
        let mut web = container("nginx");
        let path = SourcePath { path: "conf".to_owned(), digest: digest.to_owned() };
        web.config.mounts = vec![mount(MountSource::Source(path), "/etc/app")];
        one(web)
    };
    let mut agent = settled(config("c1"));
    agent.desired = config("c2");
    let plan = agent.step();
    assert_eq!(lines(&plan)[0], "write file c2: not there");
    assert_eq!(lines(&plan)[1], "stop container web/web: volumes./etc/app changed");
    assert_eq!(lines(&plan).last().unwrap(), "remove file c1: no longer used");
    assert!(agent.plan().is_converged());
}

#[test]
fn a_running_container_is_left_alone_until_its_new_image_is_here() {
    let mut agent = settled(desired([built("d1")]));
    agent.desired = desired([built("d2")]);
    let plan = agent.plan();
    assert_eq!(
        lines(&plan)[..2],
        ["build image web/web: not there", "stop container web/web: image changed"]
    );
    assert_eq!(plan.steps[1].after, [0]);
    agent.world.unavailable.insert(build_reference(&name("web"), &name("web"), &build("d2")));
    agent.execute(&plan, Execution::Whole, &mut Random::of(0), 0);
    assert_eq!(agent.world.observe().containers[&key("web/web")].state, ContainerState::Running);
    let plan = agent.plan();
    assert!(plan.steps.is_empty(), "{plan:#?}");
    assert!(matches!(plan.waiting[0].reason, WaitReason::BackOff { attempts: 1, .. }), "{plan:#?}");
    assert_eq!(reasons(&plan)[1], "container web/web: waits for image web/web");
}

#[test]
fn a_rebuild_that_gives_the_same_image_recreates_nothing() {
    let mut agent = settled(desired([built("d1")]));
    let reference = |digest| build_reference(&name("web"), &name("web"), &build(digest));
    let id = agent.world.observe().images[&reference("d1")].id.clone();
    agent.world.image_ids.insert(reference("d2"), id);
    agent.desired = desired([built("d2")]);
    // The plan cannot know yet what the build gives. Waves of it are executed with a new plan after each.
    let plan = agent.plan();
    agent.execute(&plan, Execution::Wave, &mut Random::of(0), 0);
    assert!(agent.plan().is_converged());
}

#[test]
fn a_container_whose_successor_cannot_be_built_is_still_restarted() {
    let mut agent = settled(desired([built("d1")]));
    agent.desired = desired([built("d2")]);
    agent.world.unavailable.insert(build_reference(&name("web"), &name("web"), &build("d2")));
    agent.step();
    agent.advance(Duration::from_millis(100));
    agent.world.exit(&key("web/web"), Some(1));
    let plan = agent.step();
    assert_eq!(lines(&plan), ["start container web/web: exited with code 1"]);
}

#[test]
fn a_port_changes_hands_in_one_plan() {
    let published = |number| {
        let mut container = container("nginx");
        container.config.ports = vec![port(number)];
        container
    };
    let mut agent =
        settled(desired([app_with("a", [("x", published(80))]), app_with("b", [("x", published(81))])]));
    agent.desired = desired([app_with("a", [("x", published(81))]), app_with("b", [("x", published(80))])]);
    agent.step();
    assert!(agent.plan().is_converged(), "{:#?}", agent.plan());
    agent.desired = desired([app_with("c", [("x", published(80))])]);
    agent.step();
    assert!(agent.plan().is_converged(), "{:#?}", agent.plan());
}

#[test]
fn dependents_start_after_what_they_depend_on_and_are_not_restarted_with_it() {
    let mut web = container("nginx");
    web.depends_on = BTreeMap::from([(name("zdb"), DependencyCondition::Started)]);
    let mut agent = Loop::new(desired([app_with("web", [("web", web), ("zdb", container("pg"))])]));
    let plan = agent.step();
    let position = |line: &str| lines(&plan).iter().position(|other| other == line).unwrap();
    let dependency = position("start container web/zdb: not there");
    assert!(plan.steps[position("start container web/web: not there")].after.contains(&dependency));
    let db = agent.desired.apps.get_mut("web").unwrap().containers.get_mut("zdb").unwrap();
    db.config.user = Some("postgres".to_owned());
    let plan = agent.step();
    assert!(lines(&plan).iter().all(|line| line.contains("web/zdb")), "{plan:#?}");
    assert!(agent.plan().is_converged());
}

#[test]
fn a_dependent_waits_until_health_or_completion_is_known() {
    let mut db = container("pg");
    db.health = Some(health());
    let mut web = container("nginx");
    web.depends_on = BTreeMap::from([
        (name("db"), DependencyCondition::Healthy),
        (name("migrate"), DependencyCondition::Completed),
    ]);
    let migrate = in_state(DesiredState::Exited, container("migrate"));
    let mut agent = Loop::new(desired([app_with("web", [("web", web), ("db", db), ("migrate", migrate)])]));
    let ends = Behaviour { ends_after: Duration::from_secs(5), code: 0 };
    agent.world.behaviours.insert(key("web/migrate"), ends);
    agent.step();
    let plan = agent.step();
    assert!(plan.steps.is_empty());
    assert_eq!(
        reasons(&plan),
        [
            "container web/db: waits for the first result of its health check",
            "container web/migrate: runs until it ends by itself",
            "container web/web: waits for web/db to be healthy",
        ]
    );
    agent.advance(Duration::from_secs(1));
    agent.probe(&mut Random::of(0), 1000);
    assert_eq!(reasons(&agent.plan())[1], "container web/web: waits for web/migrate to be completed");
    agent.advance(Duration::from_secs(4));
    assert_eq!(lines(&agent.step()), ["start container web/web: is created, wanted running"]);
    assert!(agent.plan().is_converged());
}

#[test]
fn what_is_no_longer_declared_goes_but_retained_volumes_stay() {
    let mut web = built("d1");
    web.volumes = BTreeMap::from([(name("keep"), volume(true)), (name("drop"), volume(false))]);
    web.networks.insert(name("front"), network(None));
    let container_ = web.containers.get_mut("web").unwrap();
    container_.config.network = NetworkMode::Named(name("front"));
    container_.config.mounts = vec![
        mount(MountSource::Volume(name("keep")), "/keep"),
        mount(MountSource::Volume(name("drop")), "/drop"),
    ];
    let mut agent = settled(desired([web, app("other")]));
    agent.desired = desired([app("other")]);
    let plan = agent.step();
    let image = build_reference(&name("web"), &name("web"), &build("d1"));
    assert_eq!(
        lines(&plan),
        [
            "stop container web/web: no longer declared".to_owned(),
            "remove container web/web: no longer declared".to_owned(),
            "remove volume web/drop: no longer declared".to_owned(),
            "remove network web/front: no longer declared".to_owned(),
            format!("remove image {image}: no longer used"),
        ]
    );
    assert!(agent.world.observe().volumes.contains(&key("web/keep")));
    assert!(agent.plan().is_converged());
}

#[test]
fn an_image_that_homeostat_did_not_build_is_never_removed() {
    let mut agent = settled(desired([app_with("web", [("web", container("nginx"))]), app("other")]));
    agent.desired = desired([app("other")]);
    agent.step();
    assert!(agent.plan().is_converged());
    assert!(agent.world.observe().images.contains_key("nginx"));
}

#[test]
fn an_empty_source_removes_nothing_unless_it_may() {
    let mut agent = settled(one(container("nginx")));
    agent.desired = Desired { revision: "r2".to_owned(), ..Desired::default() };
    let plan = agent.plan();
    assert!(plan.steps.is_empty() && !plan.is_converged());
    assert_eq!(plan.held[0].resource, ResourceId::container(&key("web/web")));
    assert_eq!(plan.held[0].reason, HoldReason::EmptySource);
    agent.desired.allow_empty = true;
    agent.step();
    assert!(agent.world.observe().containers.is_empty());
    assert!(agent.plan().is_converged());
}

#[test]
fn nothing_of_an_app_whose_file_is_broken_is_touched() {
    let mut web = built("d1");
    web.networks.insert(name("front"), network(None));
    web.volumes.insert(name("drop"), volume(false));
    let mut agent = settled(desired([web, app("other")]));
    agent.desired = desired([app("other")]);
    agent.desired.broken.insert(name("web"), "web.toml:3:1: unknown key".to_owned());
    assert!(agent.plan().is_converged(), "{:#?}", agent.plan());
    agent.world.exit(&key("web/web"), Some(1));
    assert!(agent.plan().is_converged());
}

#[test]
fn failures_of_one_app_do_not_hold_up_another() {
    let mut agent = Loop::new(desired([
        app_with("a", [("x", container("gone"))]),
        app_with("b", [("x", container("nginx"))]),
    ]));
    agent.world.unavailable.insert("gone".to_owned());
    agent.step();
    let plan = agent.plan();
    assert!(plan.steps.is_empty(), "{plan:#?}");
    assert_eq!(agent.world.observe().containers[&key("b/x")].state, ContainerState::Running);
    assert_eq!(plan.due(), plan.waiting[0].until);
}

#[test]
fn a_failed_resource_backs_off_until_its_time_or_until_it_is_wanted_otherwise() {
    let mut agent = Loop::new(one(container("nginx")));
    let plan = agent.plan();
    agent.world.apply(&plan.steps[0]).unwrap();
    let error = PortError::new(ErrorKind::Transient, "no space left").with_hint("free some");
    let now = agent.world.now();
    let events = agent.record.step_failed(&agent.desired, &plan.steps[1], &error, now);
    assert_eq!(events[0].message, "create container web/web failed: no space left");
    let waiting = agent.plan();
    assert!(waiting.steps.is_empty());
    let mut other =
        Loop { world: agent.world.clone(), desired: agent.desired.clone(), record: agent.record.clone() };
    other.desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap().config.read_only = true;
    assert_eq!(other.plan().steps.len(), 2);
    agent.world.advance_to(waiting.due().unwrap());
    assert_eq!(agent.plan().steps.len(), 2);
}

#[test]
fn a_container_that_keeps_failing_is_restarted_ever_later_and_at_once_with_a_new_target() {
    let mut agent = Loop::new(one(container("nginx")));
    let fails = Behaviour { ends_after: Duration::from_secs(1), code: 1 };
    agent.world.behaviours.insert(key("web/web"), fails);
    agent.step();
    let mut delays = Vec::new();
    for _ in 0..8 {
        agent.advance(Duration::from_secs(1));
        let ended = agent.world.now();
        let mut plan = agent.plan();
        if let Some(due) = plan.due() {
            assert!(plan.steps.is_empty());
            agent.world.advance_to(due);
            plan = agent.plan();
        }
        assert_eq!(lines(&plan), ["start container web/web: exited with code 1"]);
        delays.push(agent.world.now().duration_since(ended).as_millis());
        agent.step();
    }
    assert_eq!(delays[0], 0, "{delays:?}");
    assert!((90..=110).contains(&delays[1]) && (5760..=7040).contains(&delays[7]), "{delays:?}");
    assert_eq!(agent.record.containers[&key("web/web")].restarts, 8);
    agent.advance(Duration::from_secs(1));
    assert!(agent.plan().steps.is_empty());
    agent.desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap().config.read_only = true;
    assert_eq!(lines(&agent.step())[0], "remove container web/web: read_only changed");
    assert_eq!(agent.record.containers[&key("web/web")].short_runs, 0);
}

#[test]
fn a_restart_after_a_run_that_lasted_is_immediate() {
    let mut agent = settled(one(container("nginx")));
    agent.advance(Duration::from_hours(1));
    agent.world.exit(&key("web/web"), Some(0));
    assert_eq!(lines(&agent.step()), ["start container web/web: exited with code 0"]);
}

#[test]
fn after_a_power_cut_everything_starts_again_but_what_is_never_restarted() {
    let mut web = container("nginx");
    web.restart = RestartPolicy::No;
    let mut agent =
        settled(desired([app_with("a", [("x", web)]), app_with("b", [("x", container("nginx"))])]));
    agent.advance(Duration::from_mins(1));
    agent.world.power_cut();
    assert_eq!(lines(&agent.step()), ["start container b/x: ended unseen"]);
    assert!(agent.plan().is_converged());
}

#[test]
fn an_unhealthy_container_is_stopped_and_started_and_that_backs_off_too() {
    let mut web = container("nginx");
    web.health = Some(health());
    let mut agent = Loop::new(one(web));
    agent.step();
    let mut restarts = 0;
    for _ in 0..3600 {
        agent.advance(Duration::from_secs(1));
        agent.probe(&mut Random::of(0), 0);
        let plan = agent.step();
        if !plan.steps.is_empty() {
            assert_eq!(
                lines(&plan),
                ["stop container web/web: unhealthy", "start container web/web: unhealthy"]
            );
            restarts += 1;
        }
    }
    assert_eq!(agent.record.containers[&key("web/web")].restarts, restarts);
    assert!((15..40).contains(&restarts), "{restarts}");
}

#[test]
fn an_unhealthy_container_that_ended_in_the_middle_of_its_restart_is_started() {
    let mut web = container("nginx");
    web.health = Some(health());
    web.restart = RestartPolicy::OnFailure;
    let mut agent = Loop::new(one(web));
    agent.step();
    let mut random = Random::of(0);
    for _ in 0..30 {
        agent.advance(Duration::from_secs(1));
        agent.probe(&mut random, 0);
    }
    let plan = agent.plan();
    assert_eq!(plan.steps.len(), 2);
    // The stop is done, and the agent is killed before it can note so.
    agent.world.exit(&key("web/web"), Some(0));
    assert_eq!(lines(&agent.step()), ["start container web/web: unhealthy"]);
}

#[test]
fn a_one_shot_runs_once_and_what_runs_for_another_state_is_stopped() {
    let mut agent = Loop::new(one(in_state(DesiredState::Exited, container("job"))));
    let ends = Behaviour { ends_after: Duration::from_secs(5), code: 3 };
    agent.world.behaviours.insert(key("web/web"), ends);
    agent.step();
    assert_eq!(reasons(&agent.plan()), ["container web/web: runs until it ends by itself"]);
    agent.advance(Duration::from_secs(5));
    assert!(agent.plan().is_converged());
    agent.world.behaviours.clear();
    agent.desired = one(container("job"));
    assert_eq!(lines(&agent.step()), ["start container web/web: is exited, wanted running"]);
    agent.desired = one(in_state(DesiredState::Exited, container("job")));
    assert_eq!(lines(&agent.step()), ["stop container web/web: is running, wanted exited"]);
    assert!(agent.plan().is_converged());
    agent.desired = one(in_state(DesiredState::Paused, container("job")));
    assert_eq!(agent.step().steps.len(), 2);
    assert!(agent.plan().is_converged());
}

#[test]
fn a_one_shot_that_was_cut_off_runs_again_for_those_that_wait_for_it() {
    let mut web = container("nginx");
    web.depends_on = BTreeMap::from([(name("migrate"), DependencyCondition::Completed)]);
    let migrate = in_state(DesiredState::Exited, container("migrate"));
    let mut agent = Loop::new(desired([app_with("web", [("web", web), ("migrate", migrate)])]));
    agent.step();
    agent.world.power_cut();
    let plan = agent.step();
    assert_eq!(lines(&plan), ["start container web/migrate: ended unseen"]);
    assert_eq!(reasons(&plan), ["container web/web: waits for web/migrate to be completed"]);
    agent.world.exit(&key("web/migrate"), Some(0));
    agent.step();
    assert!(agent.plan().is_converged());
}

#[test]
fn what_ran_as_a_service_runs_again_as_the_one_shot_that_others_wait_for() {
    for stopped_with in [143, 0] {
        let mut web = container("nginx");
        web.depends_on = BTreeMap::from([(name("job"), DependencyCondition::Completed)]);
        let app = |state| {
            desired([app_with("web", [("web", web.clone()), ("job", in_state(state, container("job")))])])
        };
        let mut agent = Loop::new(app(DesiredState::Running));
        agent.step();
        agent.desired = app(DesiredState::Exited);
        assert_eq!(lines(&agent.step()), ["stop container web/job: is running, wanted exited"]);
        // However it took the signal: as a one-shot it has not run yet.
        let job = agent.world.observed_mut().containers.get_mut(&key("web/job")).unwrap();
        job.exit.as_mut().unwrap().code = Some(stopped_with);
        let plan = agent.step();
        assert_eq!(lines(&plan), ["start container web/job: others wait until it has completed"]);
        assert_eq!(reasons(&plan), ["container web/web: waits for web/job to be completed"]);
        agent.world.exit(&key("web/job"), Some(0));
        assert_eq!(lines(&agent.step()), ["start container web/web: is created, wanted running"]);
        assert!(agent.plan().is_converged());
    }
}

#[test]
fn an_old_one_shot_does_not_run_again_while_its_successor_is_waited_for() {
    let mut agent = Loop::new(one(in_state(DesiredState::Exited, container("migrate"))));
    agent.step();
    agent.world.power_cut();
    agent.desired = one(in_state(DesiredState::Exited, container("gone")));
    agent.world.unavailable.insert("gone".to_owned());
    agent.step();
    assert!(agent.plan().steps.is_empty());
}

#[test]
fn a_dependency_that_ended_as_its_spec_allows_was_started() {
    let mut db = container("pg");
    db.restart = RestartPolicy::OnFailure;
    let mut web = container("nginx");
    web.depends_on = BTreeMap::from([(name("db"), DependencyCondition::Started)]);
    let mut agent = settled(desired([app_with("web", [("web", web), ("db", db)])]));
    agent.world.exit(&key("web/db"), Some(0));
    agent.world.exit(&key("web/web"), Some(1));
    assert_eq!(lines(&agent.step()), ["start container web/web: exited with code 1"]);
    // One that is to be started again is waited for.
    agent.world.exit(&key("web/web"), Some(1));
    agent.world.start_container(&key("web/db")).unwrap();
    agent.world.exit(&key("web/db"), Some(1));
    assert_eq!(lines(&agent.step())[0], "start container web/db: exited with code 1");
    assert!(agent.plan().is_converged());
}

#[test]
fn a_changed_network_takes_its_containers_off_first() {
    let on_network = |subnet| {
        let mut web = container("nginx");
        web.config.network = NetworkMode::Named(name("front"));
        let mut app = app_with("web", [("web", web)]);
        app.networks.insert(name("front"), network(Some(subnet)));
        desired([app])
    };
    let mut agent = settled(on_network("10.1.0.0/24"));
    agent.desired = on_network("10.2.0.0/24");
    let plan = agent.step();
    assert_eq!(
        lines(&plan),
        [
            "stop container web/web: network.front.subnet changed",
            "remove container web/web: network.front.subnet changed",
            "remove network web/front: network.front.subnet changed",
            "create network web/front: network.front.subnet changed",
            "create container web/web: network.front.subnet changed",
            "start container web/web: network.front.subnet changed",
        ]
    );
    assert!(agent.plan().is_converged());
}

#[test]
fn a_field_that_keeps_differing_stalls_its_container_and_nothing_else() {
    let mut web = container("nginx");
    web.config.user = Some("app".to_owned());
    let mut agent = settled(one(web));
    let mut rounds = 0;
    loop {
        // An engine that does not keep what it is told.
        agent.world.observed_mut().containers.get_mut(&key("web/web")).unwrap().config.user = None;
        let plan = agent.step();
        if plan.steps.is_empty() {
            assert_eq!(reasons(&plan), ["container web/web: stalled: user differs again after every change"]);
            break;
        }
        rounds += 1;
    }
    assert_eq!(rounds, 5);
    agent.world.exit(&key("web/web"), Some(1));
    assert_eq!(agent.plan().steps.len(), 1, "it is still kept running");
    agent.desired.apps.get_mut("web").unwrap().containers.get_mut("web").unwrap().config.read_only = true;
    assert!(agent.plan().steps.len() > 1, "a new target is tried");
}

#[test]
fn a_network_of_a_removed_app_makes_room_for_one_with_its_subnet() {
    let app_on = |text: &str| {
        let mut web = container("nginx");
        web.config.network = NetworkMode::Named(name("front"));
        let mut app = app_with(text, [("web", web)]);
        app.networks.insert(name("front"), network(Some("10.1.0.0/24")));
        desired([app])
    };
    let mut agent = settled(app_on("old"));
    agent.desired = app_on("new");
    let plan = agent.step();
    let networks: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.resource, ResourceId::Declared(ResourceKind::Network, _)))
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        networks,
        ["remove network old/front: no longer declared", "create network new/front: not there"]
    );
    assert!(agent.plan().is_converged(), "{:#?}", agent.plan());
}

#[test]
fn an_app_made_by_a_chain_of_any_length_is_planned() {
    let mut long = app("long");
    for index in 0..20_000 {
        let mut link = container("nginx");
        if index > 0 {
            link.depends_on.insert(name(&format!("c{}", index - 1)), DependencyCondition::Started);
        }
        long.containers.insert(name(&format!("c{index}")), link);
    }
    let agent = Loop::new(desired([long]));
    let observed = agent.world.observe();
    let plan = homeostat_reconciler::plan(&agent.desired, &observed, &agent.record, agent.world.now());
    assert_eq!(plan.steps.len(), 40_001);
}

#[test]
fn a_network_without_a_declared_subnet_gives_way_to_one_with() {
    let app_on = |text: &str, subnet| {
        let mut web = container("nginx");
        web.config.network = NetworkMode::Named(name("front"));
        let mut app = app_with(text, [("web", web)]);
        app.networks.insert(name("front"), network(subnet));
        app
    };
    let mut agent = settled(desired([app_on("a", Some("10.1.0.0/24"))]));
    agent.desired = desired([app_on("a", None)]);
    assert!(agent.plan().is_converged(), "a subnet that is there serves as well as another");
    agent.desired = desired([app_on("a", None), app_on("b", Some("10.1.0.0/16"))]);
    let plan = agent.step();
    let networks: Vec<_> = lines(&plan).into_iter().filter(|line| line.contains("network b")).collect();
    assert_eq!(networks, ["create network b/front: not there"]);
    assert!(agent.plan().is_converged(), "{:#?}", agent.plan());
}

#[test]
fn of_two_containers_with_one_port_the_second_waits_for_the_first() {
    let published = || {
        let mut container = container("nginx");
        container.config.ports = vec![port(80)];
        container
    };
    // The compiler refuses this of files that are good; a broken one's last good state can do it.
    let mut agent =
        Loop::new(desired([app_with("a", [("x", published())]), app_with("b", [("x", published())])]));
    agent.step();
    let plan = agent.plan();
    assert!(plan.steps.is_empty(), "{plan:#?}");
    assert_eq!(reasons(&plan), ["container b/x: waits for container a/x"]);
    agent.desired = desired([app_with("b", [("x", published())])]);
    agent.settle();
    assert_eq!(agent.world.observe().containers[&key("b/x")].state, ContainerState::Running);
}

#[test]
fn a_container_is_not_stopped_for_a_successor_whose_dependency_is_not_ready() {
    let web = |user: Option<&str>| {
        let mut web = container("nginx");
        web.config.user = user.map(str::to_owned);
        web.depends_on = BTreeMap::from([(name("db"), DependencyCondition::Healthy)]);
        let mut db = container("pg");
        db.health = Some(health());
        db.config.user = user.map(str::to_owned);
        desired([app_with("web", [("web", web), ("db", db)])])
    };
    let mut agent = settled(web(None));
    agent.desired = web(Some("app"));
    let plan = agent.step();
    assert!(lines(&plan).iter().all(|line| line.contains("web/db")), "{plan:#?}");
    assert_eq!(agent.world.observe().containers[&key("web/web")].state, ContainerState::Running);
    agent.advance(Duration::from_secs(1));
    agent.probe(&mut Random::of(0), 1000);
    assert_eq!(lines(&agent.step())[0], "stop container web/web: user changed");
    assert!(agent.plan().is_converged());
}

#[test]
fn a_plan_survives_being_written_as_json() {
    let mut app = built("d1");
    app.networks.insert(name("front"), network(None));
    let plan = Loop::new(desired([app])).plan();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn after_an_orderly_stop_of_the_host_everything_starts_again_but_what_is_never_restarted() {
    let with = |restart| {
        let mut web = container("nginx");
        web.restart = restart;
        web
    };
    let mut agent = settled(desired([
        app_with("a", [("x", with(RestartPolicy::No))]),
        app_with("b", [("x", with(RestartPolicy::OnFailure))]),
        app_with("c", [("x", with(RestartPolicy::Always))]),
        app_with("d", [("x", in_state(DesiredState::Paused, container("nginx")))]),
    ]));
    for name in ["a/x", "b/x", "c/x", "d/x"] {
        agent.world.exit(&key(name), Some(0));
        agent.record.stopped_with_host(&agent.desired, &key(name));
    }
    let steps = [
        "start container b/x: is exited, wanted running",
        "start container c/x: is exited, wanted running",
        "start container d/x: is exited, wanted paused",
        "pause container d/x: is exited, wanted paused",
    ];
    assert_eq!(lines(&agent.step()), steps);
    assert!(agent.plan().is_converged());
    assert!(agent.record.containers.values().all(|known| known.restarts == 0));
}

#[test]
fn a_container_that_is_no_longer_declared_is_stopped_as_its_spec_said_last() {
    let mut web = container("web:1");
    web.stop = StopPolicy { signal: Some("SIGQUIT".to_owned()), grace: Duration::from_secs(77) };
    let mut agent = settled(desired([app_with("web", [("web", web)]), app("other")]));
    agent.desired = desired([app("other")]);
    let plan = agent.plan();
    let stop = Action::StopContainer { signal: Some("SIGQUIT".to_owned()), grace: Duration::from_secs(77) };
    assert!(plan.steps.iter().any(|step| step.action == stop), "{plan:#?}");
}
