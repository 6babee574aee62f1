//! `homeostat import compose`.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

use std::os::unix::fs::PermissionsExt as _;

use homeostat_e2e::{Host, Outcome};

/// A host with a Compose file in a directory, which is the source.
fn host(text: &str) -> Host {
    let host = Host::new();
    host.write("compose.yaml", text);
    host
}

fn import(host: &Host, options: &[&str]) -> Outcome {
    let file = host.source().join("compose.yaml");
    let arguments = ["import", "compose", file.to_str().unwrap(), "--app", "shop"];
    host.homeostat(&[&arguments, options].concat())
}

#[test]
fn what_is_all_carried_over_is_printed_and_ends_with_0() {
    let host = host("services:\n  web: {image: \"acme/web:1\", restart: always, ports: [\"8080:80\"]}\n");
    let outcome = import(&host, &[]).expect_code(0);
    assert!(outcome.stdout.contains("[container.web]\nimage = \"acme/web:1\"\n"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("0 not carried over, 0 notes"), "{}", outcome.stderr);
}

#[test]
fn what_is_not_carried_over_is_listed_and_ends_with_1() {
    let host = host("services:\n  web:\n    image: acme/web:1\n    privileged: true\n");
    let outcome = import(&host, &[]).expect_code(1);
    assert!(outcome.stderr.contains("compose.yaml:4: services.web.privileged: "), "{}", outcome.stderr);
    let json = import(&host, &["-o", "json"]).expect_code(1).json();
    assert_eq!(json["findings"][0]["kind"], "not-carried-over");
    assert_eq!(json["findings"][0]["line"], 4);
    assert_eq!(json["app"], "shop");
}

#[test]
fn a_written_spec_is_valid_private_and_never_overwritten() {
    let host = host("services:\n  web: {build: ./web, env_file: web.env, volumes: [\"./web:/conf:ro\"]}\n");
    host.write("web/Dockerfile", "FROM scratch\nCOPY . /\n");
    host.write("web.env", "PASSWORD=hunter2\n");
    let source = host.source();
    let source = source.to_str().unwrap();
    let outcome = import(&host, &["--directory", source]).expect_code(0);
    assert!(!outcome.stderr.contains("hunter2") && outcome.stdout.is_empty(), "{outcome:?}");
    let spec = host.source().join("shop.toml");
    assert_eq!(spec.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    host.homeostat(&["validate", source]).expect_code(0);
    let again = import(&host, &["--directory", source]).expect_code(2);
    assert!(again.stderr.contains("nothing is overwritten"), "{}", again.stderr);
}

#[test]
fn what_is_no_compose_file_ends_with_2_and_the_line() {
    let host = host("services:\n  web: [\n");
    let outcome = import(&host, &[]).expect_code(2);
    assert!(outcome.stderr.contains("compose.yaml:"), "{}", outcome.stderr);
    host.homeostat(&["import", "compose", "/nowhere/compose.yaml"]).expect_code(2);
}

#[test]
fn several_files_are_merged_and_the_override_file_beside_is_too() {
    let host = host("services:\n  web: {image: \"acme/web:1\", restart: always, user: one}\n");
    host.write("prod.yaml", "services:\n  web:\n    user: !reset null\n    read_only: true\n");
    host.write("compose.override.yaml", "services: {web: {user: two}}\n");
    let outcome = import(&host, &[]).expect_code(0);
    assert!(outcome.stdout.contains("user = \"two\""), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("compose.override.yaml stands beside the file"), "{}", outcome.stderr);
    let second = host.source().join("prod.yaml");
    let outcome = import(&host, &[second.to_str().unwrap()]).expect_code(0);
    assert!(
        !outcome.stdout.contains("user = ") && outcome.stdout.contains("read_only = true"),
        "{}",
        outcome.stdout
    );
}
