//! Single rules of Compose, and what an import does where a file is wrong, hostile or elsewhere.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

mod support;

use std::time::{Duration, Instant};

use homeostat_compose::{Import, ImportError, Kind, import};
use homeostat_spec::Name;
use proptest::prelude::*;
use support::{World, assert_valid, request};

fn imported(text: &str) -> Import {
    import(&request("compose", text), &World).unwrap()
}

fn refused(text: &str) -> ImportError {
    import(&request("compose", text), &World).unwrap_err()
}

fn lost(import: &Import) -> Vec<String> {
    let lost = import.findings.iter().filter(|finding| finding.kind == Kind::NotCarriedOver);
    lost.map(|finding| format!("{}: {}", finding.line, finding.path)).collect()
}

#[test]
fn what_is_no_compose_file_is_refused_with_its_line() {
    for (text, line, message) in [
        ("", 1, "the file is empty"),
        ("- a\n", 1, "a Compose file is a mapping, which this is not"),
        ("a: 1\n", 1, "the file declares no services, so it is no Compose file"),
        ("services:\n  a:\n    image: x:1\n    image: x:2\n", 4, "the key `image` stands here twice"),
        ("services:\n  a: *b\n", 2, "this is no YAML"),
        ("services:\n  a:\n    image: ${TAG:?give a tag}\n", 3, "the variable `TAG` is not set: give a tag"),
        ("services:\n  a:\n    extends: a\n", 3, "services extend each other too deep, or in a circle"),
        (
            "include: other.yaml\nservices:\n  a: {image: \"x:1\"}\n",
            1,
            "/srv/compose/other.yaml is not there",
        ),
        (
            "services:\n  a: {image: \"x:1\", depends_on: [b]}\n  b: {image: \"x:1\", depends_on: [a]}\n",
            2,
            "services wait for each other in a circle, or for such ones: a, b",
        ),
        ("services:\n  a: {image: \"x:1\"}\n---\nb: 1\n", 3, "a second YAML document begins here"),
    ] {
        let error = refused(text);
        assert!(error.message.starts_with(message), "{text}: {error}");
        assert_eq!((error.file.as_str(), error.line), ("compose.yaml", line), "{text}: {error}");
    }
}

#[test]
fn aliases_that_multiply_are_refused_in_bounded_time() {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x]".to_owned()];
    for n in 1..40 {
        let alias = format!("*a{}", n - 1);
        lines.push(format!("a{n}: &a{n} [{}]", [alias.as_str(); 9].join(", ")));
    }
    let begun = Instant::now();
    assert!(refused(&lines.join("\n")).message.contains("add up to more than 16 MiB"));
    let deep = "[".repeat(100_000);
    import(&request("compose", deep), &World).unwrap_err();
    let nested: Vec<String> = (0..2000).map(|n| format!("{}a:", " ".repeat(n))).collect();
    import(&request("compose", nested.join("\n")), &World).unwrap_err();
    let many: Vec<String> = (0..4000).map(|n| format!("    - {n}:{n}")).collect();
    imported(&format!("services:\n  a:\n    image: x:1\n    ports:\n{}", many.join("\n")));
    let services: Vec<String> = (0..30_000).map(|n| format!("  a{n}: {{links: [a{}]}}", n + 1)).collect();
    refused(&format!("services:\n{}", services.join("\n")));
    let environment: Vec<String> = (0..9999).map(|n| format!("      - A{n}=1")).collect();
    imported(&format!("services:\n  a:\n    image: x:1\n    environment:\n{}", environment.join("\n")));
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[test]
fn a_service_without_an_image_is_left_out_and_nothing_waits_for_it() {
    let import = imported(
        "services:\n  a: {image: \"x:1\", depends_on: [b]}\n  b: {build: https://example.org/x.git}\n",
    );
    assert_eq!(lost(&import), ["3: services.b.build", "3: services.b.image"]);
    let app = assert_valid("left out", &import);
    assert!(app.containers["a"].depends_on.is_empty() && app.containers.len() == 1);
}

#[test]
fn a_build_context_elsewhere_has_to_be_copied() {
    let mut request = request("compose", "services:\n  a: {build: ./web}\n");
    request.directory = "/srv/specs".to_owned();
    let import = import(&request, &World).unwrap();
    assert_valid("context", &import);
    assert!(import.spec.contains("context = \"./web\""));
    assert_eq!(import.findings[0].hint.as_deref(), Some("copy it to /srv/specs/web"));
}

#[test]
fn a_read_only_mount_outside_the_directory_of_the_spec_is_one_of_the_host() {
    let text = "services:\n  a: {image: \"x:1\", volumes: [\"../conf:/a:ro\", \"./conf:/b:ro\", \"~/c:/c\", \"./missing:/d\"]}\n";
    let import = imported(text);
    let volumes = r#"["/srv/conf:/a:ro", "./conf:/b:ro", "/home/ada/c:/c", "/srv/compose/missing:/d"]"#;
    assert!(import.spec.contains(volumes), "{}", import.spec);
    assert!(lost(&import).is_empty());
    assert!(import.findings.iter().any(|finding| finding.message.contains("missing is not there")));
}

#[test]
fn the_app_is_called_as_compose_calls_the_project() {
    let services = "services: {a: {image: \"x:1\"}}\n";
    assert_eq!(imported(&format!("name: My_Shop\n{services}")).app.as_str(), "my-shop");
    assert_eq!(imported(services).app.as_str(), "compose");
    let mut request = request("compose", format!("name: shop\n{services}"));
    request.app = Some("front".parse::<Name>().unwrap());
    assert_eq!(import(&request, &World).unwrap().app.as_str(), "front");
}

#[test]
fn nothing_to_report_is_nothing_reported() {
    let import = imported(
        "services:\n  a: {image: \"x:1\", restart: always, tty: false, ports: [\"80:80\"], expose: [80]}\n",
    );
    assert_eq!(import.findings, []);
}

#[test]
fn a_service_with_a_profile_takes_its_image_into_the_comment() {
    let import =
        imported("services:\n  a: {image: \"x:1\"}\n  b: {build: ./b, profiles: [p], depends_on: [a]}\n");
    let app = assert_valid("profile", &import);
    assert!(app.images.is_empty() && app.containers.len() == 1);
    assert!(
        import.spec.contains("#[image.b]\n") && import.spec.contains("#[container.b]\n"),
        "{}",
        import.spec
    );
}

#[test]
fn values_that_a_variable_leaves_empty_are_as_if_not_written() {
    let text = "services:\n  a:\n    image: x:1\n    hostname: ${H:-}\n    healthcheck: {test: t, interval: \"${I-}\", retries: \"${R-}\"}\n";
    let import = imported(text);
    assert!(import.findings.is_empty(), "{:?}", import.findings);
    let app = assert_valid("empty", &import);
    assert_eq!(app.containers["a"].health.as_ref().unwrap().interval, Duration::from_secs(30));
}

#[test]
fn a_value_of_the_wrong_kind_is_reported() {
    let text = "services:\n  a:\n    image: x:1\n    ports: 80\n    deploy: [x]\n    user: {a: b}\n    environment: x\n    command: [a, [b]]\n    tmpfs: {a: b}\n";
    let lost = lost(&imported(text));
    for key in [
        "4: services.a.ports",
        "5: services.a.deploy",
        "6: services.a.user",
        "7: services.a.environment",
        "8: services.a.command",
        "9: services.a.tmpfs",
    ] {
        assert!(lost.iter().any(|line| line == key), "{key} in {lost:?}");
    }
}

#[test]
fn every_key_that_is_not_known_is_reported() {
    let import =
        imported("models: {m: {}}\nservices:\n  a: {image: \"x:1\", imgae: y, oom_score_adj: 5, x-y: 1}\n");
    assert_eq!(lost(&import), ["1: models", "3: services.a.imgae", "3: services.a.oom_score_adj"]);
}

#[test]
fn no_value_of_a_variable_is_in_a_finding() {
    let import = imported(
        "services:\n  a:\n    image: x:1\n    environment: {1BAD: hunter2, \"B D\": hunter2}\n    env_file: .env\n",
    );
    assert_eq!(lost(&import).len(), 2);
    let findings = format!("{:?}", import.findings);
    assert!(!findings.contains("hunter2") && !findings.contains("postgres"), "{findings}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_give_a_result(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = import(&request("compose", bytes), &World);
    }

    #[test]
    fn any_yaml_like_text_gives_a_result(text in "(services:\n|  [a-c]:\n|    image: x:1\n|    (ports|volumes|build|command|healthcheck|networks|depends_on|environment|deploy|extends|env_file|secrets): |\\[|\\]|\\{|\\}|: |- |\\$\\{A|\\}|&a |\\*a|<<: |[a-z0-9/:. \"'|>\n#!-]){0,60}") {
        let _ = import(&request("compose", text), &World);
    }

    #[test]
    fn any_scalar_at_any_key_leaves_a_valid_spec(
        key in prop::sample::select(vec![
            "user", "hostname", "working_dir", "command", "entrypoint", "restart", "stop_signal", "stop_grace_period",
            "mem_limit", "cpus", "pids_limit", "network_mode", "container_name", "tmpfs", "read_only",
        ]),
        value in "[ -~]{0,20}",
    ) {
        let quoted = value.replace('$', "$$").replace('\'', "''");
        let import = imported(&format!("services:\n  a:\n    image: x:1\n    {key}: '{quoted}'\n"));
        assert_valid(key, &import);
    }

    #[test]
    fn any_item_of_any_list_leaves_a_valid_spec(
        key in prop::sample::select(vec![
            "ports", "volumes", "environment", "labels", "cap_add", "cap_drop", "tmpfs", "networks", "security_opt",
            "depends_on", "links", "secrets", "configs",  "profiles",
        ]),
        items in proptest::collection::vec("[b-z0-9:/._=-]{0,12}", 0..4),
    ) {
        let items: Vec<_> = items.iter().map(|item| format!("'{item}'")).collect();
        let import = imported(&format!("services:\n  a:\n    image: x:1\n    {key}: [{}]\n", items.join(", ")));
        assert_valid(key, &import);
    }

    #[test]
    fn a_value_of_the_environment_arrives_as_it_is(value in "[ -~\n\t]{0,40}") {
        let quoted = value.replace('$', "$$").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
        let import = imported(&format!("services:\n  a:\n    image: x:1\n    environment: {{V: \"{quoted}\"}}\n"));
        let app = assert_valid("env", &import);
        prop_assert_eq!(&app.containers["a"].config.env["V"], &value);
    }
}
