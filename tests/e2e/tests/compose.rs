//! A running project of Docker's Compose is taken over as it is.

#![allow(clippy::unwrap_used, reason = "the helpers fail the test that calls them")]

use std::collections::BTreeMap;

use homeostat_e2e::{Compose, Host, busybox_in_docker, run};

const PROJECT: &str = r#"
services:
  db:
    image: busybox:mine
    command: sh -c "test -f /data/index.html || echo kept > /data/index.html; trap 'exit 0' TERM; while true; do sleep 1; done"
    volumes: ["data:/data/"]
    restart: unless-stopped
    logging: {driver: json-file, options: {max-size: 5m, max-file: "2"}}
  web:
    image: busybox:mine
    command: [httpd, -f, -p, "80", -h, /data]
    ports: ["8080:80"]
    environment: {COLOR: blue}
    labels: {org.example.team: shop}
    volumes: ["data:/data:ro", "./conf:/conf:ro"]
    depends_on: [db]
    restart: always
    stop_signal: SIGKILL
volumes:
  data:
"#;

/// The project, started by Compose.
fn started(host: &Host) -> Option<Compose<'_>> {
    busybox_in_docker(host);
    let files = [("compose.yaml", PROJECT), ("conf/a.conf", "a\n")];
    let compose = Compose::project(host, &files)?;
    compose.run(&["up", "--detach"]);
    Some(compose)
}

/// Id and process id of each container by name, and when it was started.
fn containers(host: &Host) -> BTreeMap<String, (String, String)> {
    let ids = host.docker(&["ps", "--all", "--quiet", "--no-trunc"]);
    let mut found = BTreeMap::new();
    for id in ids.lines() {
        let format = "--format={{.Name}} {{.State.Pid}} {{.State.StartedAt}}";
        let told = host.docker(&["inspect", format, id]);
        let (name, run) = told.trim().split_once(' ').unwrap();
        found.insert(name.trim_start_matches('/').to_owned(), (id.to_owned(), run.to_owned()));
    }
    found
}

fn import(host: &Host, compose: &Compose<'_>) {
    let file = compose.directory().join("compose.yaml");
    let source = host.source();
    let mut command = host.command();
    command.args(["import", "compose", "--adopt", "--app", "front", "--directory"]).arg(source).arg(file);
    command.env("COMPOSE_PROJECT_NAME", "shop");
    let outcome: homeostat_e2e::Outcome = command.output().unwrap().into();
    outcome.expect_code(0);
}

fn page() -> String {
    run("curl", &["--silent", "--retry", "9", "--retry-connrefused", "http://127.0.0.1:8080/"])
}

#[test]
fn a_compose_project_is_taken_over_without_a_restart_and_goes_on_under_its_spec() {
    let host = Host::with_docker();
    let Some(compose) = started(&host) else { return };
    let before = containers(&host);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["shop-db-1", "shop-web-1"]);
    import(&host, &compose);
    let plan = host.plan().expect_code(1).stdout;
    assert!(plan.contains("takes over shop-db-1") && plan.contains("takes over shop-web-1"), "{plan}");
    assert!(!plan.contains("cannot be taken over"), "{plan}");
    host.apply().expect_code(0);
    assert_eq!(containers(&host), before);
    assert_eq!(page(), "kept\n");
    assert_eq!(host.plan().expect_code(0).stdout.matches("adopt").count(), 0);
    let policy = host.docker(&["inspect", "--format={{.HostConfig.RestartPolicy.Name}}", "shop-web-1"]);
    assert_eq!(policy.trim(), "no");

    let spec = fs_err::read_to_string(host.source().join("front.toml")).unwrap();
    host.write("front.toml", &spec.replace("COLOR = \"blue\"", "COLOR = \"green\""));
    host.apply().expect_code(0);
    let after = containers(&host);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["front_web", "shop-db-1"]);
    assert_eq!(after["shop-db-1"], before["shop-db-1"]);
    assert_eq!(page(), "kept\n");
    let volumes = host.docker(&["volume", "ls", "--quiet"]);
    assert_eq!(volumes.lines().collect::<Vec<_>>(), ["shop_data"]);
    host.plan().expect_code(0);
}

#[test]
fn what_of_a_compose_project_a_spec_cannot_say_is_named_and_left_running() {
    let host = Host::with_docker();
    busybox_in_docker(&host);
    let project = "services:\n  one:\n    image: busybox:mine\n    command: sleep 1000\n    pid: host\n    \
                   volumes: [/scratch]\n  two:\n    image: busybox:mine\n    command: sleep 1000\n    \
                   networks: {back: {}, front: {aliases: [second], ipv4_address: 10.99.8.20}}\n\
                   networks: {front: {ipam: {config: [{subnet: 10.99.8.0/24}]}}, back: {}}\n";
    let Some(compose) = Compose::project(&host, &[("compose.yaml", project)]) else { return };
    compose.run(&["up", "--detach"]);
    let before = containers(&host);
    let mut command = host.command();
    command.args(["import", "compose", "--adopt", "--app", "shop", "--directory"]).arg(host.source());
    command.arg(compose.directory().join("compose.yaml")).env("COMPOSE_PROJECT_NAME", "shop");
    let outcome: homeostat_e2e::Outcome = command.output().unwrap().into();
    let told = outcome.expect_code(1).stderr;
    for key in ["services.one.pid", "services.one.volumes[0]"] {
        assert!(told.contains(key), "{key}: {told}");
    }
    let status = host.apply().expect_code(2).stdout;
    assert!(status.contains("shop-one-1 is there and cannot be taken over as it is"), "{status}");
    for field in ["pid: \"host\" -> unset", "volumes./scratch"] {
        assert!(status.contains(field), "{field}: {status}");
    }
    assert_eq!(containers(&host), before);
    assert_eq!(host.container("shop/two")["actual"], "running");
    host.docker(&["rm", "--force", "--volumes", "shop-one-1"]);
    host.apply().expect_code(0);
}
