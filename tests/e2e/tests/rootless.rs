//! Engines of a user without rights, driven through their sockets.

use homeostat_e2e::{Host, busybox_image, eventually, run, sleeper};

/// An app that serves what is in a directory of the host, and what is in its volume.
fn web(directory: &str) -> String {
    format!(
        r#"
[image.busybox]
build = {{ context = "./busybox" }}

[container.web]
image = "busybox"
command = ["sh", "-c", "cp /host/page /data/copy; exec httpd -f -p 80 -h /data"]
ports = ["8080:80"]
volumes = ["data:/data", "{directory}:/host:ro"]
network = "inner"
health = {{ command = ["test", "-f", "/data/copy"], interval = "100ms" }}
stop = {{ signal = "SIGKILL" }}

[volume.data]
[network.inner]
"#
    )
}

/// Builds, mounts, publishes, probes, heals and removes; and refuses what such an engine cannot do.
fn lives_through_an_apps_life(host: &Host) {
    busybox_image(host);
    let shared = host.path("shared");
    fs_err::create_dir(&shared).expect("a directory");
    fs_err::write(shared.join("page"), "hello\n").expect("a file");
    // A source without any spec removes nothing.
    host.write("stays.toml", &sleeper(""));
    host.write("web.toml", &web(shared.to_str().expect("a path in UTF-8")));
    let agent = host.agent();
    let web = agent.wait_for("web/web", "healthy", |status| status["health"] == "healthy");
    agent.wait_converged();
    let page = || run("curl", &["-sS", "--retry", "5", "--retry-connrefused", "http://127.0.0.1:8080/copy"]);
    assert_eq!(page(), "hello\n");
    host.docker(&["rm", "--force", "web_web"]);
    agent.wait_for("web/web", "healed", |status| {
        status["actual"] == "running" && status["started_at"] != web["started_at"]
    });
    assert_eq!(page(), "hello\n");

    host.write("probed.toml", &sleeper("health = { tcp = \":80\" }"));
    host.write("limited.toml", &sleeper("resources = { memory = \"64MiB\", pids = 10 }"));
    let refused = |app: &str, reason: &str| {
        eventually(&format!("{app} is refused"), || {
            let status = host.container(&format!("{app}/main"));
            let message = status["message"].as_str().unwrap_or_default().to_owned();
            (status["actual"] == "absent" && message.contains(reason)).then_some(())
        });
    };
    refused("probed", "its containers cannot be reached from this host (health");
    // With control groups of version 1 such an engine has none.
    if !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        refused(
            "limited",
            "it cannot limit memory (resources.memory); it cannot limit processes (resources.pids)",
        );
    }
    for app in ["probed.toml", "limited.toml", "web.toml"] {
        host.remove(app);
    }
    eventually("it is removed", || {
        (host.docker(&["ps", "--all", "--format={{.Names}}"]) == "stays_main\n").then_some(())
    });
}

#[test]
fn an_app_lives_on_a_rootless_docker() {
    if let Some(host) = Host::with_rootless_docker() {
        lives_through_an_apps_life(&host);
    }
}

#[test]
fn an_app_lives_on_a_rootless_podman() {
    if let Some(host) = Host::with_rootless_podman() {
        lives_through_an_apps_life(&host);
    }
}
