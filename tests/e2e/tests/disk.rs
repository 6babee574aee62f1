//! What is on the disk, and room on it.

use homeostat_e2e::{Agent, Host, busybox_image, eventually, run, sleeper};

/// What is there is told for people and for scripts.
fn is_told(host: &Host) {
    busybox_image(host);
    host.write("one.toml", &sleeper("stop = { signal = \"SIGKILL\" }"));
    host.apply().expect_code(0);
    let text = host.homeostat(&["system", "df"]).expect_code(0).stdout;
    for kind in ["images", "containers", "volumes", "build cache"] {
        assert!(text.lines().any(|line| line.starts_with(kind)), "{kind} in\n{text}");
    }
    let usage = host.homeostat(&["system", "df", "-o", "json"]).json();
    assert_eq!(usage["containers"]["active"], 1, "{usage}");
    assert!(usage["images"]["bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{usage}");
}

#[test]
fn what_is_on_the_disk_is_told_of_the_embedded_engine() {
    let host = Host::new();
    is_told(&host);
    assert!(host.homeostat(&["system", "df"]).stdout.contains("disk: "));
}

#[test]
fn what_is_on_the_disk_is_told_of_docker() {
    is_told(&Host::with_docker());
}

#[test]
fn what_is_on_the_disk_is_told_of_podman() {
    is_told(&Host::with_podman());
}

#[test]
fn the_agent_makes_room_and_tells_what_was_freed() {
    let host = Host::new();
    busybox_image(&host);
    host.write("unused/Dockerfile", "FROM scratch\nCOPY file /file\n");
    host.write("unused/file", &"unused".repeat(1_000_000));
    let context = host.source().join("unused");
    host.homeostat(&["build", "--tag", "localhost/unused:1", context.to_str().unwrap()]).expect_code(0);
    // Every disk is as full as that.
    host.write("homeostat.toml", "[prune.disk]\nstart = \"1%\"\nstop = \"1%\"\n");
    host.write("one.toml", &sleeper("stop = { signal = \"SIGKILL\" }"));
    let source = host.source();
    let agent = Agent::start(&host, source.to_str().unwrap(), &["--listen", "127.0.0.1:9465"]);
    agent.wait_converged();
    let freed = eventually("what was freed is an event", || {
        let events = host.homeostat(&["events"]).expect_code(0).stdout;
        events.lines().find(|line| line.contains("freed")).map(str::to_owned)
    });
    assert!(freed.contains("1 × image"), "{freed}");
    let events = host.homeostat(&["events"]).expect_code(0).stdout;
    assert!(events.contains("% full, and all of these that is left is needed"), "{events}");
    let images = host.homeostat(&["images"]).expect_code(0).stdout;
    assert!(!images.contains("unused"), "{images}");
    let metrics = run("curl", &["-sS", "--max-time", "5", "http://127.0.0.1:9465/metrics"]);
    let bytes = metrics.lines().find(|line| line.starts_with("homeostat_pruned_bytes_total{kind=\"image\"}"));
    let bytes: f64 = bytes.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default();
    assert!(bytes > 6e6, "{metrics}");
}
