//! Several Compose files as one: what the later one says on top of the earlier one.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

mod support;

use homeostat_compose::{ComposeFile, Import, Kind, Request, Surroundings, import};
use support::{World, assert_valid, file, request};

fn merged(base: &str, over: &str) -> Import {
    let files = vec![file("base", base), file("over", over)];
    import(&Request { files, ..request("base", "") }, &World).unwrap()
}

/// Services `a` with these keys, the second on top of the first; the lines of the spec after its header.
fn service(base: &str, over: &str) -> Vec<String> {
    let of = |keys: &str| format!("services:\n  a:\n    {}\n", keys.replace('\n', "\n    "));
    let import = merged(&of(&format!("image: x:1\n{base}")), &of(over));
    assert_valid("merged", &import);
    lines(&import)
}

fn lines(import: &Import) -> Vec<String> {
    // Every service is on the default network.
    let of_network = |line: &str| line.starts_with("network = ") || line == "[network.default]";
    let lines = import.spec.lines().skip(3);
    lines.filter(|line| !line.is_empty() && !of_network(line)).map(str::to_owned).collect()
}

#[test]
fn lists_are_joined_maps_merged_and_commands_replaced() {
    for (base, over, expected) in [
        ("ports: [\"80:80\"]", "ports: [\"81:81\", \"80:80\"]", r#"ports = ["80:80", "81:81"]"#),
        (
            "ports: [{target: 80, published: 80}]",
            "ports: [\"80:80\", \"80:80/udp\"]",
            r#"ports = ["80:80", "80:80/udp"]"#,
        ),
        (
            "volumes: [\"/a:/x\", \"/b:/y\"]",
            "volumes: [{type: bind, source: /c, target: /x}, \"/d:/z:ro\"]",
            r#"volumes = ["/c:/x", "/b:/y", "/d:/z:ro"]"#,
        ),
        ("tmpfs: /a", "tmpfs: [/b, /a]", r#"tmpfs = ["/a", "/b"]"#),
        ("cap_add: [NET_ADMIN]", "cap_add: [NET_RAW, NET_ADMIN]", r#"cap_add = ["NET_ADMIN", "NET_RAW"]"#),
        ("command: [a, b]", "command: [c]", r#"command = ["c"]"#),
        ("entrypoint: a b", "entrypoint: [c]", r#"entrypoint = ["c"]"#),
        ("user: root", "user: \"1000\"", r#"user = "1000""#),
        ("user: root", "restart: \"no\"", r#"user = "root""#),
        ("mem_limit: 1g\ncpus: 1", "cpus: 2", r#"resources = { memory = "1GiB", cpus = 2 }"#),
    ] {
        let lines = service(base, over);
        assert!(lines.iter().any(|line| line == expected), "{base} + {over}: {lines:#?}");
    }
}

#[test]
fn the_environment_is_merged_in_either_form() {
    for (base, over) in [
        ("environment: [A=1, B=2]", "environment: {B: \"3\", C: \"4\"}"),
        ("environment: {A: \"1\", B: \"2\"}", "environment: [B=3, C=4]"),
    ] {
        let lines = service(base, over);
        assert_eq!(lines[lines.len() - 3..], ["A = \"1\"", "B = \"3\"", "C = \"4\""], "{lines:#?}");
    }
}

#[test]
fn what_is_written_without_a_value_takes_nothing_away() {
    let lines = service("ports: [\"80:80\"]\nlabels: {a: b}", "ports:\nlabels:");
    assert!(lines.contains(&"ports = [\"80:80\"]".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"a = \"b\"".to_owned()), "{lines:#?}");
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let base = "ports: [\"80:80\"]\nuser: root\nlabels: {a: b, c: d}\nvolumes: [\"/a:/a\"]\ntmpfs: [/t]\n\
                environment: [A=1]\nread_only: true";
    let over = "ports: !override [\"81:81\"]\nuser: !reset null\nlabels: {a: !reset null}\nvolumes: !reset []\n\
                environment: !override {B: \"2\"}\nread_only: !reset false";
    let lines = service(base, over);
    let expected = [
        "image = \"x:1\"",
        "ports = [\"81:81\"]",
        "tmpfs = [\"/t\"]",
        "restart = \"no\"",
        "[container.a.env]",
        "B = \"2\"",
        "[container.a.labels]",
        "c = \"d\"",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_service_can_be_reset_and_a_reset_alone_says_nothing() {
    let import = merged(
        "services:\n  a: {image: \"x:1\", user: !reset root}\n  b: {image: \"x:1\"}\n",
        "services:\n  b: !reset null\n",
    );
    let app = assert_valid("reset", &import);
    assert_eq!(app.containers.keys().map(homeostat_spec::Name::as_str).collect::<Vec<_>>(), ["a"]);
    assert_eq!(app.containers["a"].config.user, None);
}

#[test]
fn tags_hold_against_what_a_service_extends() {
    let text = "services:\n  base: {image: \"x:1\", user: root, cap_add: [NET_RAW]}\n  a:\n    extends: base\n    \
                user: !reset null\n    cap_add: !override [NET_ADMIN]\n";
    let app = assert_valid("extends", &import(&request("compose", text), &World).unwrap());
    assert_eq!(app.containers["a"].config.user, None);
    assert_eq!(app.containers["a"].config.cap_add, ["CAP_NET_ADMIN"]);
}

#[test]
fn a_tag_that_compose_does_not_know_is_reported_with_its_line_and_those_of_yaml_are_not() {
    let text = "services:\n  a:\n    image: !!str x:1\n    user: ! root\n    ports:\n      - !secret \"80:80\"\n    \
                labels: !vault {a: b}\n";
    let import = import(&request("compose", text), &World).unwrap();
    let findings: Vec<_> = import.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [
            "compose.yaml:6: services.a.ports[0]: Compose has no tag `!secret`; the value is taken as it is written",
            "compose.yaml:7: services.a.labels: Compose has no tag `!vault`; the value is taken as it is written",
        ]
    );
    assert!(import.spec.contains("ports = [\"80:80\"]"), "{}", import.spec);
}

#[test]
fn options_of_a_log_driver_do_not_outlive_it() {
    let base = "logging: {driver: syslog, options: {syslog-address: x}}";
    let lines = service(base, "logging: {driver: json-file, options: {max-size: 1m}}");
    assert!(lines.contains(&"log = { max_size = \"1MB\" }".to_owned()), "{lines:#?}");
}

#[test]
fn paths_of_every_file_start_from_the_first_and_findings_name_their_own() {
    let mut over =
        file("elsewhere/over", "services:\n  a:\n    volumes: [\"./data:/data\"]\n    privileged: true\n");
    over.display = "elsewhere/over.yaml".to_owned();
    let base = file("base", "services:\n  a: {image: \"x:1\", pid: host}\n");
    let import = import(&Request { files: vec![base, over], ..request("base", "") }, &World).unwrap();
    assert!(import.spec.contains("/srv/compose/data:/data"), "{}", import.spec);
    let lost = import.findings.iter().filter(|finding| finding.kind == Kind::NotCarriedOver);
    let lost: Vec<_> = lost.map(|finding| format!("{}:{}", finding.file, finding.line)).collect();
    assert_eq!(lost, ["base.yaml:2", "elsewhere/over.yaml:4"]);
}

#[test]
fn the_name_is_that_of_the_last_file_that_has_one_and_of_the_environment_before_all() {
    let services = "services: {a: {image: \"x:1\"}}";
    let import = merged(&format!("name: one\n{services}\n"), "name: two\nservices: {a: {user: root}}\n");
    assert_eq!(import.app.as_str(), "two");
    let world = Overridden { files: Vec::new(), project: Some("three") };
    let import =
        homeostat_compose::import(&request("base", format!("name: one\n{services}\n")), &world).unwrap();
    assert_eq!(import.app.as_str(), "three");
}

/// A directory with these files beside the Compose file.
struct Overridden {
    files: Vec<(&'static str, &'static str)>,
    project: Option<&'static str>,
}

impl Surroundings for Overridden {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let found = self.files.iter().find(|(name, _)| path == format!("/srv/compose/{name}"));
        Ok(found.map(|(_, text)| text.as_bytes().to_vec()))
    }

    fn exists(&self, _: &str) -> bool {
        true
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.project.filter(|_| name == "COMPOSE_PROJECT_NAME").map(str::to_owned)
    }
}

fn of_file(name: &str) -> ComposeFile {
    let mut file = file("x", "services: {a: {image: \"x:1\"}}\n");
    file.path = format!("/srv/compose/{name}");
    name.clone_into(&mut file.display);
    file
}

#[test]
fn the_override_file_beside_is_merged_where_compose_would() {
    let world = Overridden {
        files: vec![
            ("docker-compose.override.yml", "services: {a: {user: second}}\n"),
            ("compose.override.yaml", "services: {a: {user: first}}\n"),
        ],
        project: None,
    };
    for (files, user) in [
        (vec![of_file("compose.yaml")], Some("first")),
        (vec![of_file("docker-compose.yml")], Some("first")),
        // Compose does not look for one where it is told of files: so one with another name, or several.
        (vec![of_file("stack.yaml")], None),
        (vec![of_file("compose.yaml"), of_file("more.yaml")], None),
    ] {
        let name = files[0].path.clone();
        let import = import(&Request { files, ..request("x", "") }, &world).unwrap();
        assert_valid(&name, &import);
        assert_eq!(import.spec.contains("user = "), user.is_some(), "{name}: {}", import.spec);
        assert!(user.is_none_or(|user| import.spec.contains(user)), "{name}: {}", import.spec);
        let notes = import.findings.iter().filter(|finding| finding.message.contains("override"));
        assert_eq!(notes.count(), usize::from(user.is_some()));
        assert!(import.findings.iter().all(|finding| finding.kind == Kind::Note));
    }
}

#[test]
fn what_an_override_file_says_is_found_in_it() {
    let world = Overridden {
        files: vec![("compose.override.yml", "services:\n  a:\n    privileged: true\n")],
        project: None,
    };
    let request = Request { files: vec![of_file("compose.yml")], ..request("x", "") };
    let import = import(&request, &world).unwrap();
    let lost = import.findings.iter().find(|finding| finding.kind == Kind::NotCarriedOver).unwrap();
    assert!(lost.to_string().starts_with("compose.override.yml:3: services.a.privileged: "), "{lost}");
}

#[test]
fn included_files_of_one_entry_are_merged_and_what_two_entries_share_is_declared_once() {
    let world = Overridden {
        files: vec![
            ("one.yaml", "services: {b: {image: \"x:1\"}}\nnetworks: {web: {internal: true}}\n"),
            ("one.over.yaml", "services: {b: {user: root}}\n"),
            ("two.yaml", "services: {c: {image: \"x:1\"}}\nnetworks: {web: {internal: true}}\n"),
        ],
        project: None,
    };
    let text =
        "include:\n  - path: [one.yaml, one.over.yaml]\n  - two.yaml\nservices: {a: {image: \"x:1\"}}\n";
    let app = assert_valid("include", &import(&request("x", text), &world).unwrap());
    assert_eq!(app.containers.len(), 3);
    assert_eq!(app.containers["b"].config.user.as_deref(), Some("root"));
}

#[test]
fn override_files_as_they_are_written_are_merged() {
    let base = "services:\n  web:\n    build: ./web\n    labels: [a=b]\n    command: run\n    env_file: .env\n    \
                networks: [front]\n  cache: {image: \"x:1\"}\n  job: {image: \"x:1\", develop: {watch: []}}\nnetworks: {front: {}}\n";
    let over = "version: '3'\nservices:\n  web:\n    build:\n      target: dev\n      args: [A=1]\n    labels: []\n    \
                command: [\"npm\", \"run\"]\n    env_file: [shared.env]\n    networks:\n      front: {aliases: [web]}\n  \
                cache:\n    profiles: [production]\n  job:\n    develop: !reset null\n  more: {image: \"x:2\"}\n";
    let world = Overridden { files: vec![(".env", "A=1\n"), ("shared.env", "B=2\n")], project: None };
    let files = vec![file("base", base), file("over", over)];
    let import = import(&Request { files, ..request("base", "") }, &world).unwrap();
    let app = assert_valid("override", &import);
    assert_eq!(
        app.containers.keys().map(homeostat_spec::Name::as_str).collect::<Vec<_>>(),
        ["job", "more", "web"]
    );
    let build = "build = { context = \"./web\", target = \"dev\", args = { A = \"1\" } }";
    assert!(import.spec.contains(build), "{}", import.spec);
    let web = &app.containers["web"].config;
    assert_eq!((web.env["A"].as_str(), web.env["B"].as_str(), web.labels["a"].as_str()), ("1", "2", "b"));
    assert_eq!(web.command.as_deref(), Some(&["npm".to_owned(), "run".to_owned()][..]));
}
