//! What is killed comes back, and what is not stays untouched.

use homeostat_e2e::{Agent, Host, busybox_image, run, sleeper, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn a_killed_container_runs_again_and_others_are_untouched() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.write("two.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let (one, two) = (host.pid("one/main"), host.pid("two/main"));
    kill(Pid::from_raw(one), Signal::SIGKILL).unwrap();
    let again = agent.wait_for("one/main", "running again", |status| {
        status["actual"] == "running" && status["pid"].as_i64() != Some(i64::from(one))
    });
    assert_eq!(again["restarts"], 1);
    assert_eq!(host.pid("two/main"), two);
    let events = host.homeostat(&["events"]).expect_code(0).stdout;
    assert!(events.contains("137"), "the exit code is told:\n{events}");
}

#[test]
fn containers_outlive_a_killed_agent_and_the_next_one_adopts_them() {
    let host = Host::new();
    busybox_image(&host);
    let chatty = sleeper("").replace(
        "while true; do sleep 1000 & wait $!; done",
        "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done",
    );
    host.write("one.toml", &chatty);
    host.write("two.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let pids = (host.pid("one/main"), host.pid("two/main"));
    agent.end(Signal::SIGKILL);
    let log = host.path("data/logs/one/main");
    let size = || run("du", &["-sb", log.to_str().unwrap()]);
    let then = size();
    wait_until("the container goes on writing its log", || size() != then);

    let agent = host.agent();
    agent.wait_converged();
    assert_eq!((host.pid("one/main"), host.pid("two/main")), pids, "they keep their process ids");
    let source = host.source();
    host.homeostat(&["plan", source.to_str().unwrap()]).expect_code(0);
    assert_eq!(host.container("one/main")["restarts"], 0);
    let lines = host.homeostat(&["logs", "one"]).expect_code(0).stdout;
    let numbers: Vec<u32> =
        lines.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no line is lost: {numbers:?}");
}

#[test]
fn sigterm_leaves_containers_running_and_down_removes_them() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let pid = host.pid("one/main");
    assert_eq!(agent.end(Signal::SIGTERM), Some(0));
    assert_eq!(host.pid("one/main"), pid);

    let agent = host.agent();
    agent.wait_converged();
    host.homeostat(&["agent", "--down"]).expect_code(0);
    wait_until("the agent has ended", || !host.path("run/agent.sock").exists());
    assert!(host.container("one/main").is_null());
    drop(agent);
}

#[test]
fn a_container_that_keeps_failing_backs_off_and_can_be_given_a_new_target() {
    let host = Host::new();
    busybox_image(&host);
    let failing = sleeper("").replace("echo started;", "echo failing; exit 3;");
    host.write("one.toml", &failing);
    host.write("two.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_running("two/main");
    let status = agent.wait_for("one/main", "backing off", |status| {
        status["actual"] == "restarting" && status["restarts"].as_u64() > Some(2)
    });
    assert!(status["message"].as_str().is_some_and(|message| message.contains('3')), "{status}");
    let why = host.homeostat(&["why", "one"]).expect_code(0).stdout;
    assert!(why.contains("waiting"), "{why}");

    host.write("one.toml", &sleeper(""));
    agent.wait_running("one/main");
}

#[test]
fn the_store_can_be_lost() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let pid = host.pid("one/main");
    agent.end(Signal::SIGKILL);
    fs_err::write(host.path("data/store/db"), "garbage").unwrap();
    let agent: Agent = host.agent();
    agent.wait_converged();
    assert_eq!(host.pid("one/main"), pid);
    assert!(host.path("data/store.bad-1").exists(), "the damaged store is kept");
    assert!(agent.log().contains("store"), "it is told:\n{}", agent.log());
}
