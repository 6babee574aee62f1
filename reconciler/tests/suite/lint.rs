//! The linter finds what it says it finds.

use crate::support::Loop;
use homeostat_reconciler::fake::specs::{app_with, build, container, desired, key, name, port, volume};
use homeostat_reconciler::{
    Action, Cause, ErrorKind, Plan, PortError, ResourceId, ResourceKind, Step, build_reference, lint,
};
use homeostat_spec::{Image, Mount, MountSource};

fn settled() -> Loop {
    let mut web = container("nginx");
    web.config.ports = vec![port(80)];
    let source = MountSource::Volume(name("data"));
    web.config.mounts = vec![Mount { source, target: "/data".to_owned(), read_only: false }];
    let mut app = app_with("web", [("web", web)]);
    app.volumes.insert(name("data"), volume(true));
    app.images.insert(name("own"), Image::Build(build("d1")));
    let mut agent = Loop::new(desired([app]));
    agent.settle();
    agent
}

fn findings(agent: &Loop, plan: &Plan) -> Vec<String> {
    lint(plan, &agent.desired, &agent.world.observe(), &agent.record, agent.world.now())
}

fn step(kind: ResourceKind, text: &str, action: Action, after: &[usize]) -> Step {
    let resource = ResourceId::Declared(kind, key(text));
    Step { resource, action, cause: Cause::NotDeclared, after: after.to_vec() }
}

fn finds(agent: &Loop, steps: Vec<Step>, expected: &str) {
    let plan = Plan { steps, ..Plan::default() };
    let findings = findings(agent, &plan);
    assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:#?}");
}

fn stop() -> Action {
    Action::StopContainer { signal: None, grace: std::time::Duration::ZERO }
}

#[test]
fn a_step_that_comes_after_a_later_one_is_found() {
    finds(
        &settled(),
        vec![step(ResourceKind::Container, "web/web", stop(), &[0])],
        "comes after a later step",
    );
}

#[test]
fn steps_of_one_resource_that_are_not_chained_are_found() {
    let steps = vec![
        step(ResourceKind::Container, "web/web", stop(), &[]),
        step(ResourceKind::Container, "web/web", Action::StartContainer, &[]),
    ];
    finds(&settled(), steps, "is not chained");
}

#[test]
fn the_removal_of_what_runs_or_is_declared_is_found() {
    let remove = |after: &[usize]| step(ResourceKind::Container, "web/web", Action::RemoveContainer, after);
    finds(&settled(), vec![remove(&[])], "the container runs");
    let stop = step(ResourceKind::Container, "web/web", stop(), &[]);
    finds(&settled(), vec![stop, remove(&[0])], "it is declared and unchanged");
    finds(
        &settled(),
        vec![step(ResourceKind::Container, "web/gone", Action::RemoveContainer, &[])],
        "is not there",
    );
}

#[test]
fn the_removal_of_a_volume_that_is_declared_retained_or_used_is_found() {
    let remove = || vec![step(ResourceKind::Volume, "web/data", Action::RemoveVolume, &[])];
    finds(&settled(), remove(), "it is declared");
    finds(&settled(), remove(), "it is retained");
    finds(&settled(), remove(), "a container still uses it");
}

#[test]
fn the_removal_of_an_image_that_is_not_ours_is_found() {
    let reference = "nginx".to_owned();
    let resource = ResourceId::Image(reference.clone());
    let action = Action::RemoveImage { reference };
    let remove = Step { resource, action, cause: Cause::Unused, after: Vec::new() };
    finds(&settled(), vec![remove], "it was not built by homeostat");
}

#[test]
fn a_container_created_before_what_it_needs_is_here_is_found() {
    let agent = settled();
    let create = |image: String| {
        let config = Box::new(agent.desired.container(&key("web/web")).unwrap().config.clone());
        step(
            ResourceKind::Container,
            "other/web",
            Action::CreateContainer { image, config, attended: false },
            &[],
        )
    };
    finds(&agent, vec![create("gone".to_owned())], "its image is not here");
    let own = build_reference(&name("web"), &name("own"), &build("d1"));
    finds(&agent, vec![create(own)], "a volume that it mounts is not here");
}

#[test]
fn a_start_of_what_is_not_there_or_on_a_taken_port_is_found() {
    let agent = settled();
    finds(&agent, vec![step(ResourceKind::Container, "web/x", Action::StartContainer, &[])], "is not there");
    let mut config = container("nginx").config;
    config.ports = vec![port(80)];
    let create =
        Action::CreateContainer { image: "nginx".to_owned(), config: Box::new(config), attended: false };
    let steps = vec![
        step(ResourceKind::Container, "web/x", create, &[]),
        step(ResourceKind::Container, "web/x", Action::StartContainer, &[0]),
    ];
    finds(&agent, steps, "still held by another container");
}

#[test]
fn a_step_on_a_resource_that_backs_off_is_found() {
    let mut agent = settled();
    let stop = step(ResourceKind::Container, "web/web", stop(), &[]);
    let error = PortError::new(ErrorKind::Transient, "no");
    let now = agent.world.now();
    agent.record.step_failed(&agent.desired, &stop, &error, now);
    finds(&agent, vec![stop], "the resource backs off");
}

#[test]
fn steps_for_an_empty_source_are_found() {
    let mut agent = settled();
    agent.desired.apps.clear();
    finds(&agent, vec![step(ResourceKind::Container, "web/web", stop(), &[])], "the source is empty");
}
