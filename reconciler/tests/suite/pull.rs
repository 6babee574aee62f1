//! When images are pulled.

use std::time::Duration;

use crate::support::Loop;
use homeostat_reconciler::fake::specs::{app, app_with, container, desired, key};
use homeostat_reconciler::ports::EngineInfo;
use homeostat_reconciler::{Desired, Plan, ResourceId, WaitReason, status};
use homeostat_spec::{Container, PullPolicy};

const IMAGE: &str = "ghcr.io/acme/web:1";

fn pulled(policy: PullPolicy) -> Container {
    Container { pull: policy, ..container(IMAGE) }
}

fn wanted(policy: PullPolicy) -> Desired {
    desired([app_with("web", [("web", pulled(policy))])])
}

fn settled(policy: PullPolicy) -> Loop {
    let mut agent = Loop::new(wanted(policy));
    agent.settle();
    agent
}

fn pulls(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| step.action.verb() == "pull").count()
}

fn next_revision(agent: &mut Loop) {
    "r2".clone_into(&mut agent.desired.revision);
}

#[test]
fn an_image_that_is_here_is_asked_for_again_only_where_its_spec_says_always() {
    for (policy, expected) in [(PullPolicy::Missing, 0), (PullPolicy::Never, 0), (PullPolicy::Always, 1)] {
        let mut agent = Loop::new(wanted(PullPolicy::Missing));
        agent.settle();
        agent.desired = wanted(policy);
        next_revision(&mut agent);
        assert_eq!(pulls(&agent.step()), expected, "{policy:?}");
        assert!(agent.plan().is_converged(), "{policy:?}: it was asked");
    }
}

#[test]
fn a_registry_is_asked_once_for_each_revision_and_whenever_somebody_applies_it() {
    let mut agent = settled(PullPolicy::Always);
    assert!(agent.plan().steps.is_empty());
    next_revision(&mut agent);
    assert_eq!(pulls(&agent.step()), 1);
    assert!(agent.plan().steps.is_empty());
    agent.record.try_again();
    assert_eq!(pulls(&agent.step()), 1);
    assert!(agent.plan().steps.is_empty());
}

#[test]
fn a_tag_that_has_moved_replaces_the_container_and_one_that_has_not_leaves_it() {
    let mut agent = settled(PullPolicy::Always);
    let id = |agent: &Loop| agent.world.observe().containers[&key("web/web")].id.clone();
    let before = id(&agent);
    next_revision(&mut agent);
    agent.settle();
    assert_eq!(id(&agent), before, "it means the same");
    agent.world.image_ids.insert(IMAGE.to_owned(), "sha256:newer".to_owned());
    agent.record.try_again();
    agent.settle();
    let now = agent.world.observe().containers[&key("web/web")].clone();
    assert_ne!(now.id, before);
    assert_eq!(now.image_id, "sha256:newer");
}

#[test]
fn without_its_registry_what_is_here_goes_on_and_that_is_told() {
    let mut agent = settled(PullPolicy::Always);
    next_revision(&mut agent);
    agent.world.unavailable.insert(IMAGE.to_owned());
    // What is made meanwhile is made of what is here.
    let mut other = pulled(PullPolicy::Always);
    other.config.env.insert("NEW".to_owned(), "1".to_owned());
    agent.desired.apps.get_mut("web").unwrap().containers.insert("other".parse().unwrap(), other);
    assert_eq!(pulls(&agent.step()), 1);
    agent.step();
    assert_eq!(agent.world.observe().containers.len(), 2);
    let plan = agent.plan();
    assert!(plan.is_converged(), "{plan:#?}");
    assert_eq!(plan.waiting[0].resource, ResourceId::Image(IMAGE.to_owned()));
    assert!(
        matches!(&plan.waiting[0].reason, WaitReason::NotAsked { message } if message.contains("not available"))
    );
    let engine = EngineInfo { name: "embedded".to_owned(), version: None, storage: None };
    let report = status(&agent.desired, &agent.world.observe(), &agent.record, &plan, &engine);
    assert!(report.apps[0].synced);
    let message = report.apps[0].containers[0].message.as_deref().unwrap();
    assert!(message.contains("is used as it is here"), "{message}");

    // It is asked as soon as it is there again.
    agent.world.unavailable.clear();
    agent.advance(Duration::from_mins(6));
    assert_eq!(pulls(&agent.step()), 1);
    assert_eq!(agent.plan().waiting, []);
}

#[test]
fn an_image_that_is_never_pulled_and_not_here_is_an_error_that_holds_up_nothing_else() {
    let mut specs = wanted(PullPolicy::Never);
    specs.apps.insert("other".parse().unwrap(), app_with("other", [("main", container("nginx"))]));
    let mut agent = Loop::new(specs);
    agent.step();
    let plan = agent.plan();
    assert!(plan.steps.is_empty() && !plan.is_converged(), "{plan:#?}");
    let told: Vec<String> = plan.waiting.iter().map(|waiting| waiting.reason.to_string()).collect();
    assert!(told[0].contains("never pulled"), "{told:?}");
    assert!(agent.world.observe().containers.contains_key(&key("other/main")));
    agent.world.bring_image(IMAGE).unwrap();
    agent.settle();
    assert!(agent.world.observe().containers.contains_key(&key("web/web")));
}

#[test]
fn of_several_containers_the_one_that_asks_for_most_counts() {
    let containers = [("a", pulled(PullPolicy::Never)), ("b", pulled(PullPolicy::Missing))];
    let mut agent = Loop::new(desired([app_with("web", containers), app("empty")]));
    agent.settle();
    assert_eq!(agent.world.observe().containers.len(), 2);
}
