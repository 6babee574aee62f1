//! The agent as a service: what it tells systemd, its log, its signals.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use homeostat_e2e::{Agent, Host, busybox_image, eventually, sleeper};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn systemd_is_told_of_readiness_and_state_and_its_watchdog_is_answered() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let path = host.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let source = host.source();
    let mut agent = host
        .command()
        .args(["agent", "--source", source.to_str().unwrap()])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !(seen.contains("READY=1")
        && seen.contains("STATUS=converged")
        && seen.matches("WATCHDOG=1").count() > 3)
    {
        let length = socket.recv(&mut buffer).expect("systemd is told in time");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        seen.push('\n');
    }
    kill(Pid::from_raw(i32::try_from(agent.id()).unwrap()), Signal::SIGTERM).unwrap();
    while !seen.contains("STOPPING=1") {
        let length = socket.recv(&mut buffer).expect("systemd is told of the end");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(agent.wait().unwrap().success());
}

#[test]
fn sighup_reads_the_source_and_the_log_can_be_json() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let source = host.source();
    // Polls far too seldom to matter here.
    let agent = Agent::start(&host, source.to_str().unwrap(), &["--log-format", "json", "--interval", "1h"]);
    agent.wait_converged();
    kill(Pid::from_raw(agent.pid()), Signal::SIGHUP).unwrap();
    agent.wait_converged();
    let lines = eventually("the start is logged", || {
        let log = agent.log();
        log.contains("container one/main").then_some(log)
    });
    for line in lines.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
    }
}

#[test]
fn only_root_and_its_group_can_use_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let mode = fs_err::metadata(host.path("run/agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let refused = host.homeostat(&["apply", "/tmp"]).expect_code(2);
    assert!(refused.stderr.contains("agent"), "{}", refused.stderr);
}

#[test]
fn the_environment_of_a_service_does_not_stop_it_from_being_taken_down() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let down = host
        .command()
        .args(["agent", "--down"])
        .env("HOMEOSTAT_SOURCE", host.source())
        .env("HOMEOSTAT_LISTEN", "127.0.0.1:9464")
        .output()
        .unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(host.container("one/main").is_null());
}
