//! Images from a registry under the agent's command, on every engine.

use homeostat_daemons::{PASSWORD, Registry, USER};
use homeostat_e2e::{Host, wait_until};
use nix::sys::signal::Signal;

/// An app with one container of an image of a registry, that tells which it is.
fn app(reference: &str) -> String {
    format!(
        "[container.main]\nimage = \"{reference}\"\ncommand = [\"sh\", \"-c\", \"echo $(cat /version); sleep 1000\"]\nstop = {{ signal = \"SIGKILL\" }}\n"
    )
}

fn log(host: &Host) -> String {
    host.homeostat(&["logs", "app/main"]).expect_code(0).stdout
}

fn tells(host: &Host, version: &str) {
    wait_until("the container has told its version", || {
        log(host).lines().last().is_some_and(|line| line.ends_with(version))
    });
}

/// A tag is asked for once: what it comes to mean later changes nothing, until the spec says another tag or a digest.
fn converges_from_a_registry(host: &Host) {
    let registry = Registry::start(&host.path("registry"));
    registry.push("team/app", "1", "first");
    let repository = format!("{}/team/app", registry.address());
    host.write("app.toml", &app(&format!("{repository}:1")));
    host.apply().expect_code(0);
    assert_eq!(host.container("app/main")["actual"], "running");
    tells(host, "first");
    let pid = host.pid("app/main");

    let second = registry.push("team/app", "1", "second");
    host.plan().expect_code(0);
    host.apply().expect_code(0);
    assert_eq!(host.pid("app/main"), pid, "the tag has moved, and nobody has asked for what it means now");

    host.write("app.toml", &app(&format!("{repository}@{second}")));
    host.apply().expect_code(0);
    assert_ne!(host.pid("app/main"), pid);
    tells(host, "second");
}

/// With `pull = "always"` each apply asks, a tag that has moved replaces its container, and without the registry what is
/// here goes on. An image that is never pulled has to be there.
fn follows_a_tag(host: &Host) {
    let mut registry = Registry::start(&host.path("registry"));
    let first = registry.push("team/app", "1", "first");
    let reference = format!("{}/team/app:1", registry.address());
    host.write("app.toml", &format!("{}pull = \"always\"\n", app(&reference)));
    host.apply().expect_code(0);
    let digest = || host.container("app/main")["image_digest"].clone();
    assert_eq!(digest(), *first);
    let pid = host.pid("app/main");
    host.plan().expect_code(0);
    host.apply().expect_code(0);
    assert_eq!(host.pid("app/main"), pid, "it means the same");

    let second = registry.push("team/app", "1", "second");
    host.apply().expect_code(0);
    let moved = host.pid("app/main");
    assert_ne!(moved, pid);
    tells(host, "second");
    assert_eq!(digest(), *second);
    let status = host.homeostat(&["status"]).expect_code(0).stdout;
    assert!(status.contains(&second["sha256:".len()..][..12]), "{status}");

    registry.stop();
    let told = host.apply().expect_code(0).stdout;
    assert!(told.contains("is used as it is here"), "{told}");
    assert_eq!(host.pid("app/main"), moved);

    let absent = format!("{}/team/other:1", registry.address());
    host.write("app.toml", &format!("{}pull = \"never\"\n", app(&absent)));
    let plan = host.plan().expect_code(2).stdout;
    assert!(plan.contains(&absent) && plan.contains("is never pulled"), "{plan}");
    assert_eq!(host.pid("app/main"), moved, "what runs goes on");
}

#[test]
fn a_tag_is_followed_where_the_spec_asks_for_it_over_docker() {
    follows_a_tag(&Host::with_docker());
}

#[test]
fn a_tag_is_followed_where_the_spec_asks_for_it_over_podman() {
    follows_a_tag(&Host::with_podman());
}

#[test]
fn a_tag_is_followed_where_the_spec_asks_for_it_by_the_embedded_engine() {
    follows_a_tag(&Host::new());
}

#[test]
fn an_image_of_a_registry_is_pulled_once_and_run_over_docker() {
    converges_from_a_registry(&Host::with_docker());
}

#[test]
fn an_image_of_a_registry_is_pulled_once_and_run_by_the_embedded_engine() {
    converges_from_a_registry(&Host::new());
}

#[test]
fn a_pulled_image_is_used_after_a_restart_without_its_registry() {
    let host = Host::new();
    let mut registry = Registry::start(&host.path("registry"));
    registry.push("team/app", "1", "first");
    host.write("app.toml", &app(&format!("{}/team/app:1", registry.address())));
    let agent = host.agent();
    agent.wait_converged();
    tells(&host, "first");
    let pid = host.pid("app/main");
    agent.end(Signal::SIGKILL);
    registry.stop();
    let agent = host.agent();
    agent.wait_converged();
    assert_eq!(host.pid("app/main"), pid);
    // A container that is made anew takes the image that is here.
    let changed = app(&format!("{}/team/app:1", registry.address())).replace("sleep 1000", "sleep 2000");
    host.write("app.toml", &changed);
    wait_until("there is a new container", || {
        host.container("app/main")["pid"].as_i64().is_some_and(|now| now != i64::from(pid))
    });
    agent.wait_converged();
    tells(&host, "first");
}

#[test]
fn a_build_pulls_what_it_begins_with() {
    let host = Host::new();
    let registry = Registry::start(&host.path("registry"));
    registry.push("team/base", "1", "built upon");
    fs_err::create_dir_all(host.source().join("context")).unwrap();
    host.write(
        "context/Dockerfile",
        &format!("FROM {}/team/base:1\nRUN echo ' more' >> /version\n", registry.address()),
    );
    host.write(
        "app.toml",
        &format!("[image.main]\nbuild = {{ context = \"./context\" }}\n\n{}", app("main")),
    );
    host.apply().expect_code(0);
    tells(&host, "built upon more");
}

#[test]
fn an_image_of_a_registry_is_pulled_once_and_run_over_podman() {
    converges_from_a_registry(&Host::with_podman());
}

#[test]
fn an_image_that_is_kept_from_most_is_pulled_with_the_credentials_of_dockers_login() {
    let host = Host::with_docker();
    let registry = Registry::start_with_password(&host.path("registry"));
    registry.push("app", "1", "kept from most");
    host.write("app.toml", &app(&format!("{}/app:1", registry.address())));
    let configuration = host.path("docker");
    let apply = || {
        let mut command = host.command();
        command.env("DOCKER_CONFIG", &configuration).arg("apply").arg(host.source());
        homeostat_e2e::Outcome::from(command.output().unwrap())
    };
    let refused = apply();
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("no basic auth credentials"), "{}", refused.stderr);

    let configured = configuration.to_str().unwrap();
    let login =
        ["--config", configured, "login", "--username", USER, "--password", PASSWORD, &registry.address()];
    host.docker(&login);
    apply().expect_code(0);
    tells(&host, "kept from most");
}
