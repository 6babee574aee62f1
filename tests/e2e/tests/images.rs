//! Images by hand: `homeostat image ...`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use homeostat_daemons::Registry;
use homeostat_e2e::{Host, Outcome, busybox_image, sleeper};
use serde_json::Value;

fn image(host: &Host, arguments: &[&str]) -> Outcome {
    host.homeostat(&[&["image"], arguments].concat())
}

fn listed(host: &Host) -> Vec<Value> {
    image(host, &["ls", "-o", "json"]).expect_code(0).json().as_array().cloned().unwrap()
}

fn references(host: &Host) -> Vec<String> {
    listed(host).iter().filter_map(|image| image["reference"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_pulled_image_is_listed_looked_at_named_and_removed() {
    let host = Host::new();
    let registry = Registry::start(&host.path("registry"));
    let digest = registry.push("team/app", "1", "first");
    let reference = format!("{}/team/app:1", registry.address());
    let pulled = image(&host, &["pull", &reference, "-o", "json"]).expect_code(0).json();
    assert_eq!(pulled["reference"], reference.as_str());
    let id = pulled["id"].as_str().unwrap().to_owned();
    let lines = image(&host, &["pull", &reference]).expect_code(0);
    assert!(lines.stdout.starts_with(&format!("{reference} is ")), "{}", lines.stdout);

    let of_it = &listed(&host)[0];
    assert_eq!((&of_it["reference"], &of_it["id"]), (&reference.as_str().into(), &id.as_str().into()));
    assert_eq!(of_it["digest"], digest.as_str());
    assert!(of_it["size"].as_u64().unwrap() > 100_000, "{of_it}");
    let table = image(&host, &["ls"]).expect_code(0).stdout;
    assert!(table.contains("REFERENCE") && table.contains(&digest["sha256:".len()..][..12]), "{table}");

    // By its reference, by what the registry calls it, and by the beginning of its id.
    let by_digest = format!("{}/team/app@{digest}", registry.address());
    for name in [reference.as_str(), &by_digest, &id["sha256:".len()..][..8]] {
        let found = image(&host, &["inspect", name]).expect_code(0).json();
        assert_eq!((&found[0]["id"], &found[0]["os"]), (&id.as_str().into(), &"linux".into()));
        assert_eq!(found[0]["config"]["Cmd"][0], "sleep");
        assert_eq!(found[0]["layers"].as_array().map(Vec::len), Some(2));
        assert_eq!(found[0]["digests"][0], by_digest.as_str());
    }

    image(&host, &["tag", &reference, "local/app"]).expect_code(0);
    assert_eq!(references(&host), [reference.clone(), "local/app".to_owned()]);
    let refused = image(&host, &["rm", &id]).expect_code(2);
    assert!(
        refused.stderr.contains("several names") && refused.stderr.contains("local/app"),
        "{}",
        refused.stderr
    );
    let wrong = image(&host, &["tag", &reference, "local/App"]).expect_code(2);
    assert!(wrong.stderr.contains("lower-case"), "{}", wrong.stderr);
    let untagged = image(&host, &["rm", "docker.io/local/app:latest"]).expect_code(0);
    assert_eq!(untagged.stdout, "untagged local/app\n");
    let deleted = image(&host, &["rm", &reference, "-o", "json"]).expect_code(0).json();
    assert_eq!(
        (&deleted[0]["untagged"][0], &deleted[0]["deleted"]),
        (&reference.as_str().into(), &id.as_str().into())
    );
    assert!(listed(&host).is_empty());
    let gone = image(&host, &["rm", &reference]).expect_code(2);
    assert!(gone.stderr.contains("there is no image"), "{}", gone.stderr);
}

#[test]
fn the_steps_of_an_image_that_was_built_are_told_and_an_image_in_use_stays() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let name = references(&host)[0].clone();
    let steps = image(&host, &["history", &name, "-o", "json"]).expect_code(0).json();
    let made: Vec<&str> =
        steps.as_array().unwrap().iter().filter_map(|step| step["created_by"].as_str()).collect();
    assert!(made.last().unwrap().contains("COPY"), "the last step comes first: {made:?}");
    let table = image(&host, &["history", &name]).expect_code(0).stdout;
    assert!(table.starts_with("CREATED"), "{table}");
    let refused = image(&host, &["rm", &name]).expect_code(2);
    assert!(refused.stderr.contains("is used by container one/main"), "{}", refused.stderr);
    assert_eq!(listed(&host)[0]["used_by"][0], "one/main");
    // One of several names may go.
    image(&host, &["tag", &name, "other:1"]).expect_code(0);
    image(&host, &["rm", "other:1"]).expect_code(0);
    host.plan().expect_code(0);
}

#[test]
fn an_agent_hands_images_out_too() {
    let host = Host::new();
    let registry = Registry::start(&host.path("registry"));
    registry.push("app", "1", "first");
    let reference = format!("{}/app:1", registry.address());
    let agent = host.agent();
    agent.wait_converged();
    image(&host, &["pull", &reference]).expect_code(0);
    image(&host, &["tag", &reference, "app:2"]).expect_code(0);
    assert_eq!(references(&host).len(), 2);
    let missing = image(&host, &["pull", &format!("{}/app:2", registry.address())]).expect_code(2);
    assert!(
        missing.stderr.contains("does not have") && missing.stderr.contains("hint"),
        "{}",
        missing.stderr
    );
}
