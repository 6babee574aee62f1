//! A Docker Engine that is reached over TCP, with TLS and without, as one on another host is.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use homeostat_daemons::Certificates;
use homeostat_e2e::{Host, busybox_image, eventually, run, sleeper, web};

const HEALTH: &str = r#"health = { command = ["test", "-f", "/data/page"], interval = "100ms" }"#;

/// Builds, starts, probes by a command in the container, serves, logs, heals, and removes.
fn lives_through_an_apps_life(host: &Host) {
    busybox_image(host);
    // A source without any spec removes nothing.
    host.write("stays.toml", &sleeper(""));
    host.write("web.toml", &web(8080, HEALTH));
    let agent = host.agent();
    agent.wait_running("web/web");
    host.docker(&["exec", "web_web", "sh", "-c", "echo hello >/data/page"]);
    agent.wait_converged();
    assert_eq!(run("curl", &["-sS", "http://127.0.0.1:8080/page"]), "hello\n");
    let before = host.container("web/web")["started_at"].clone();
    host.docker(&["kill", "web_web"]);
    agent.wait_for("web/web", "healed", |status| {
        status["actual"] == "running" && status["started_at"] != before
    });
    host.docker(&["exec", "web_web", "sh", "-c", "echo said >/proc/1/fd/1"]);
    eventually("what it says is in the log", || {
        host.homeostat(&["logs", "web"]).stdout.contains("said").then_some(())
    });
    host.remove("web.toml");
    eventually("it is removed", || {
        (host.docker(&["ps", "--all", "--format={{.Names}}"]) == "stays_main\n").then_some(())
    });
}

#[test]
fn an_app_lives_on_an_engine_that_is_reached_over_tcp() {
    lives_through_an_apps_life(&Host::with_docker_over_tcp());
}

#[test]
fn an_app_lives_on_an_engine_that_is_reached_over_tls() {
    lives_through_an_apps_life(&Host::with_docker_over_tls());
}

#[test]
fn what_takes_an_engine_on_this_host_is_refused_in_the_plan_and_the_rest_is_not() {
    let host = Host::with_docker_over_tcp();
    busybox_image(&host);
    host.write("page", "hello\n");
    let bound = web(8080, "").replace("\"data:/data\"", "\"data:/data\", \"/srv:/srv\"");
    host.write("bound.toml", &bound);
    host.write("file.toml", &web(8081, "").replace("\"data:/data\"", "\"data:/data\", \"./page:/page:ro\""));
    host.write("probed.toml", &web(8082, r#"health = { tcp = ":80" }"#));
    host.write("free.toml", &web(8083, ""));
    let plan = host.plan().expect_code(1).stdout;
    for reason in [
        "it runs elsewhere, and /srv is a path of this host (volumes)",
        "it runs elsewhere, and page is a file of the source (volumes)",
        "its containers cannot be reached from this host (health; a command can be run there)",
    ] {
        assert!(plan.contains(reason), "{reason} in\n{plan}");
    }
    host.apply().expect_code(2);
    assert_eq!(host.docker(&["ps", "--format={{.Names}}"]), "free_web\n");
}

/// What `status` says of an engine that is reached with these certificates.
fn refusal(host: &Host, certificates: &Path) -> String {
    let mut command = host.command();
    command.env("DOCKER_CERT_PATH", certificates).arg("status");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_engine_and_a_host_that_do_not_trust_each_other_say_so() {
    let host = Host::with_docker_over_tls();
    let other = Certificates::make(&host.path("other"));
    let (good, mixed) = (host.path("certificates/client"), host.path("mixed"));
    fs_err::create_dir(&mixed).unwrap();
    let put = |from: &Path, name: &str| fs_err::copy(from.join(name), mixed.join(name)).unwrap();

    let error = refusal(&host, &mixed);
    assert!(error.contains("mixed/ca.pem") && error.contains("DOCKER_CERT_PATH"), "{error}");

    put(&other.client(), "ca.pem");
    let error = refusal(&host, &mixed);
    assert!(
        error.contains("the certificate of the engine at https://127.0.0.1:2376 is not trusted"),
        "{error}"
    );
    assert!(error.contains("hint: ") && error.contains("ca.pem"), "{error}");

    put(&good, "ca.pem");
    let error = refusal(&host, &mixed);
    let asks = "the engine at https://127.0.0.1:2376 wants a certificate that it trusts";
    assert!(error.contains(asks) && error.contains("cert.pem and key.pem"), "{error}");

    put(&other.client(), "cert.pem");
    let error = refusal(&host, &mixed);
    assert!(error.contains("mixed/key.pem"), "{error}");

    put(&other.client(), "key.pem");
    let error = refusal(&host, &mixed);
    assert!(error.contains(asks), "{error}");

    put(&good, "cert.pem");
    let error = refusal(&host, &mixed);
    assert!(error.contains("mixed/key.pem cannot be used with"), "{error}");

    put(&good, "key.pem");
    let mut command = host.command();
    command.env("DOCKER_CERT_PATH", &mixed).arg("status");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn only_the_given_authority_is_trusted_and_not_what_the_system_trusts() {
    let host = Host::with_docker_over_tls();
    let other = Certificates::make(&host.path("other"));
    let mut command = host.command();
    command.env("DOCKER_CERT_PATH", other.client());
    command.env("SSL_CERT_FILE", host.path("certificates/client/ca.pem")).arg("status");
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is not trusted"), "{error}");
}

#[test]
fn tls_on_one_side_only_is_told_of() {
    let host = Host::with_docker_over_tcp();
    let certificates = Certificates::make(&host.path("certificates"));
    let mut command = host.command();
    command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", certificates.client()).arg("status");
    let error = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(error.contains("the engine at https://127.0.0.1:2375 does not speak TLS"), "{error}");
    drop(host);

    let host = Host::with_docker_over_tls();
    let mut command = host.command();
    command.env_remove("DOCKER_TLS_VERIFY").env("DOCKER_HOST", "http://127.0.0.1:2376").arg("status");
    let error = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        error.contains("HTTP request to an HTTPS server") && error.contains("hint: write https://"),
        "{error}"
    );
}

#[test]
fn certificates_that_are_put_right_are_used_by_the_agent_that_runs() {
    let mut host = Host::with_docker_over_tls();
    let (good, late) = (host.path("certificates/client"), host.path("late"));
    fs_err::create_dir(&late).unwrap();
    host.set_variable("DOCKER_CERT_PATH", late.to_str().unwrap());
    busybox_image(&host);
    host.write("web.toml", &web(8080, ""));
    let agent = host.agent();
    eventually("the status says what is missing", || {
        host.status()["engine_error"]["message"].as_str()?.contains("late/ca.pem").then_some(())
    });
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs_err::copy(good.join(name), late.join(name)).unwrap();
    }
    agent.wait_running("web/web");
}

#[test]
fn a_dead_peer_is_noticed_on_a_connection_that_only_listens() {
    let host = Host::with_docker_over_tcp();
    busybox_image(&host);
    host.write("web.toml", &web(8080, ""));
    let agent = host.agent();
    agent.wait_converged();
    eventually("the connection of the events is kept alive", || {
        let open = run("ss", &["--no-header", "--tcp", "--numeric", "--options", "dport = :2375"]);
        open.contains("timer:(keepalive").then_some(())
    });
}
