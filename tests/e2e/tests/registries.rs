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
