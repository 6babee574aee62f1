//! The agent follows its source, and what is broken in it harms nothing else.

use homeostat_e2e::{Agent, Host, busybox_image, eventually, run, sleeper};

#[test]
fn an_edit_is_followed_at_once() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    host.write("two.toml", &sleeper(""));
    agent.wait_running("two/main");
    host.remove("one.toml");
    agent.wait_for("one/main", "gone", serde_json::Value::is_null);
}

#[test]
fn a_spec_that_is_broken_by_an_edit_leaves_what_runs_and_the_rest_converges() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_converged();
    let pid = host.pid("one/main");

    host.write("one.toml", &sleeper("").replace("image =", "imgae ="));
    host.write("two.toml", &sleeper(""));
    agent.wait_running("two/main");
    assert_eq!(host.pid("one/main"), pid);
    let status = eventually("the error is told", || {
        let outcome = host.homeostat(&["status"]);
        (outcome.code == Some(1) && outcome.stderr.contains("imgae")).then_some(outcome)
    });
    assert!(status.stderr.contains("one.toml"), "the file is named:\n{}", status.stderr);
    let source = host.source();
    let validate = host.homeostat(&["validate", source.to_str().unwrap()]).expect_code(2);
    assert!(
        validate.stderr.contains("did you mean") && validate.stderr.contains("image"),
        "{}",
        validate.stderr
    );

    // It is still healed, from its last good state.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    agent.wait_for("one/main", "running again", |status| {
        status["actual"] == "running" && status["pid"].as_i64() != Some(i64::from(pid))
    });
    host.write("one.toml", &sleeper(""));
    agent.wait_converged();
}

#[test]
fn a_push_to_a_repository_converges_to_the_new_commit() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let (work, bare) = (host.source(), host.path("specs.git"));
    let (work, bare) = (work.to_str().unwrap(), bare.to_str().unwrap());
    let git = |arguments: &[&str]| {
        let identity = ["-C", work, "-c", "user.name=test", "-c", "user.email=test@localhost"];
        run("git", &[&identity[..], arguments].concat()).trim().to_owned()
    };
    run("git", &["init", "-q", "--bare", "-b", "main", bare]);
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["push", "-q", bare, "main"]);

    let url = format!("file://{bare}");
    let agent = Agent::start(&host, &url, &["--branch", "main", "--interval", "200ms"]);
    agent.wait_running("one/main");
    assert_eq!(host.status()["revision"], git(&["rev-parse", "HEAD"]));

    host.write("two.toml", &sleeper(""));
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "two"]);
    git(&["push", "-q", bare, "main"]);
    agent.wait_running("two/main");
    let status = agent.wait_converged();
    assert_eq!(status["revision"], git(&["rev-parse", "HEAD"]));
}
