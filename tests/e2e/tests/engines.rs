//! Docker Engine and Podman under the agent, and what happens to them behind its back.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::time::{Duration, Instant};

use homeostat_e2e::{Host, busybox_image, sleeper, wait_until};

/// Within this time what somebody changed by hand is set right.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The ids of all containers of the daemon, also of those that do not run.
fn containers(host: &Host) -> Vec<String> {
    host.docker(&["ps", "--all", "--quiet", "--no-trunc"]).lines().map(str::to_owned).collect()
}

#[test]
fn the_daemon_of_another_test_is_not_taken_for_something_that_a_host_has_left() {
    let host = Host::new();
    let hierarchy =
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new).into_iter().find(|path| path.exists());
    // The group of a Docker's containers, which has no process of its own as long as it runs.
    let daemon = hierarchy.unwrap().join(format!("homeostat-test-{}-another", std::process::id()));
    fs_err::create_dir_all(daemon.join("docker")).unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(host)));
    fs_err::remove_dir(daemon.join("docker")).unwrap();
    fs_err::remove_dir(daemon).unwrap();
    dropped.unwrap();
}

/// How long the daemon itself takes to create and start a container: on a slow machine more than the agent has.
fn time_of_a_run_by_hand(host: &Host) -> Duration {
    let image = host.docker(&["inspect", "--format={{.Image}}", "one_main"]);
    let since = Instant::now();
    host.docker(&["run", "--detach", "--name=by-hand", image.trim(), "/bin/sleep", "60"]);
    let took = since.elapsed();
    host.docker(&["rm", "--force", "by-hand"]);
    took
}

#[test]
fn what_is_stopped_or_removed_by_hand_is_set_right_within_a_second() {
    let host = Host::with_docker();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.write("two.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let daemons_own = time_of_a_run_by_hand(&host);
    for (key, arguments) in
        [("one/main", &["stop", "one_main"][..]), ("two/main", &["rm", "--force", "two_main"])]
    {
        let before = host.pid(key);
        host.docker(arguments);
        let since = Instant::now();
        agent.wait_for(key, "running again", |status| {
            status["actual"] == "running" && status["pid"].as_i64() != Some(i64::from(before))
        });
        let took = since.elapsed();
        assert!(
            took < AT_ONCE + daemons_own,
            "{arguments:?} was set right after {took:?}; the daemon takes {daemons_own:?}"
        );
    }
    host.docker(&["update", "--memory=64m", "--memory-swap=64m", "one_main"]);
    let memory = || host.docker(&["inspect", "--format={{.HostConfig.Memory}}", "one_main"]);
    wait_until("a limit that nobody declared is taken away", || memory().trim() != "67108864");
    assert_eq!(containers(&host).len(), 2);
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_an_apply_leaves_nothing_twice() {
    let mut host = Host::with_docker();
    busybox_image(&host);
    let more: Vec<String> = (1..10).map(|number| format!("[container.c{number}]\nimage = \"busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop = {{ signal = \"SIGKILL\" }}\n")).collect();
    host.write("many.toml", &sleeper(&more.concat()));
    let (socket, source) = (host.path("daemon/docker.sock"), host.source());
    let agent_host = host.command();
    let mut agent = spawn(agent_host, &source);
    wait_until("some containers are there", || socket.exists() && containers(&host).len() >= 3);
    host.daemon().kill();
    host.daemon().start();
    wait_converged(&host);
    assert_eq!(containers(&host).len(), 10);
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn a_daemon_that_is_away_for_a_minute_changes_nothing() {
    let mut host = Host::with_docker();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let source = host.source();
    let mut agent = spawn(host.command(), &source);
    wait_converged(&host);
    let (pid, ids) = (host.pid("one/main"), containers(&host));
    host.daemon().stop();
    let away = Instant::now();
    let mut seen_error = false;
    while away.elapsed() < Duration::from_mins(1) {
        let status = host.status();
        seen_error |= status["errors"].to_string().contains("engine");
        assert_eq!(host.container("one/main")["actual"], "running", "it is not taken for gone: {status}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(seen_error, "the status says that the engine is away");
    let events = |host: &Host| host.homeostat(&["events"]).expect_code(0).stdout.matches("applied").count();
    let before = events(&host);
    host.daemon().start();
    wait_converged(&host);
    assert_eq!((host.pid("one/main"), containers(&host)), (pid, ids));
    assert_eq!(events(&host), before, "nothing was done at its return");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn an_engine_that_has_lost_everything_is_set_right_and_the_lost_volume_is_told() {
    let mut host = Host::with_docker_that_takes_its_containers_with_it();
    busybox_image(&host);
    host.write(
        "one.toml",
        &sleeper("volumes = [\"data:/data\"]\nnetwork = \"inner\"\n[volume.data]\n[network.inner]\n"),
    );
    let mut agent = spawn(host.command(), &host.source());
    wait_converged(&host);
    host.docker(&["exec", "one_main", "touch", "/data/precious"]);
    host.daemon().stop();
    host.daemon().lose_everything();
    host.daemon().start();
    wait_until("the container runs again", || containers(&host).len() == 1);
    wait_converged(&host);
    assert_eq!(host.docker(&["exec", "one_main", "ls", "/data"]), "", "the volume is a new one");
    let events = host.homeostat(&["events"]).expect_code(0).stdout;
    let told: Vec<&str> = events.lines().filter(|line| line.contains("lost")).collect();
    assert!(told.len() == 1 && told[0].contains("one/data"), "{events}");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

/// Waits until the agent has read its source, and everything is as that says.
fn wait_converged(host: &Host) {
    wait_until("everything is as declared", || {
        let status = host.status();
        let has_read =
            status["agent"] == true && status["apps"].as_array().is_some_and(|apps| !apps.is_empty());
        has_read && status["converged"] == true
    });
}

/// An agent that does not borrow its host, whose daemon is to be stopped.
fn spawn(mut command: std::process::Command, source: &Path) -> std::process::Child {
    command.arg("agent").arg("--source").arg(source);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
}
