//! Containers that people run on the host itself, and states that they keep others in.

use homeostat_e2e::{Host, busybox_image, sleeper, wait_until};

/// A host with an image that nothing declares, and no source.
fn host() -> Host {
    let host = Host::new();
    busybox_image(&host);
    let context = host.source().join("busybox");
    host.homeostat(&["build", "-t", "bb", context.to_str().expect("a path in UTF-8")]).expect_code(0);
    host
}

fn states(host: &Host) -> Vec<String> {
    let format = "{{.app}}/{{.name}} {{.actual}}";
    let listed = host.homeostat(&["ps", "--format", format]).expect_code(0).stdout;
    listed.lines().map(str::to_owned).collect()
}

/// Everything that is done with a container by hand, with or without an agent.
fn whole_life(host: &Host) {
    let do_it = |arguments: &[&str]| host.homeostat(arguments).expect_code(0).stdout;
    assert_eq!(do_it(&["run", "-d", "--name", "x", "bb", "sleep", "1000"]), "run/x\n");
    let taken = host.homeostat(&["run", "-d", "--name", "x", "bb", "true"]).expect_code(125);
    assert!(taken.stderr.contains("there is a container run/x already"), "{}", taken.stderr);
    let first = host.pid("run/x");
    assert_eq!(do_it(&["start", "x"]), "run/x\n");
    assert_eq!(host.pid("run/x"), first, "what runs is left alone");
    do_it(&["restart", "-t", "0", "run/x"]);
    assert_ne!(host.pid("run/x"), first);
    do_it(&["pause", "x"]);
    assert_eq!(states(host), ["run/x paused"]);
    do_it(&["unpause", "x"]);
    do_it(&["stop", "-t", "0", "x"]);
    assert_eq!(states(host), ["run/x exited"]);
    let twice = host.homeostat(&["unpause", "x"]).expect_code(2);
    assert!(twice.stderr.contains("run/x is not paused"), "{}", twice.stderr);
    do_it(&["start", "x"]);
    let running = host.homeostat(&["rm", "x"]).expect_code(2);
    assert!(
        running.stderr.contains("run/x runs") && running.stderr.contains("--force"),
        "{}",
        running.stderr
    );
    do_it(&["kill", "-s", "KILL", "x"]);
    assert_eq!(do_it(&["wait", "x"]), "137\n");
    assert_eq!(states(host), ["run/x exited"], "it is not restarted");
    assert_eq!(do_it(&["rm", "x"]), "run/x\n");
    assert_eq!(states(host), [""; 0]);
    host.homeostat(&["rm", "x"]).expect_code(2);
}

#[test]
fn a_container_lives_and_goes_by_hand_without_an_agent() {
    let host = host();
    whole_life(&host);
    host.homeostat(&["create", "--name", "y", "bb", "sh", "-c", "exit 3"]).expect_code(0);
    assert_eq!(states(&host), ["run/y created"]);
    host.homeostat(&["start", "y"]).expect_code(0);
    assert_eq!(host.homeostat(&["wait", "y"]).expect_code(0).stdout, "3\n");
    host.homeostat(&["rm", "-f", "y"]).expect_code(0);
}

#[test]
fn a_container_lives_and_goes_by_hand_beside_what_an_agent_keeps() {
    let host = host();
    host.write("shop.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_running("shop/main");
    host.homeostat(&["run", "-d", "--restart", "always", "--name", "kept", "bb", "sleep", "1000"])
        .expect_code(0);
    let before = host.pid("run/kept");
    host.homeostat(&["kill", "kept"]).expect_code(0);
    agent.wait_for("run/kept", "it is restarted", |container| {
        container["actual"] == "running" && container["pid"] != before
    });
    host.homeostat(&["rm", "-f", "kept"]).expect_code(0);
    // What follows leaves only what the source says.
    let declared = states(&host);
    assert_eq!(declared, ["shop/main running"]);
    let gone = host.homeostat(&["run", "-d", "--rm", "bb", "sh", "-c", "exit 4"]).expect_code(0).stdout;
    assert!(gone.starts_with("run/bb-"), "{gone}");
    wait_until("it is removed after its run", || states(&host) == declared);
    let refused = host.homeostat(&["rm", "-f", "shop/main"]).expect_code(2);
    assert!(refused.stderr.contains("is declared in shop.toml"), "{}", refused.stderr);
}

#[test]
fn what_is_stopped_by_hand_stays_so_over_agents_and_revisions_until_it_is_started() {
    let host = host();
    host.write("shop.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_running("shop/main");
    host.homeostat(&["stop", "shop"]).expect_code(0);
    let status = host.homeostat(&["status"]).expect_code(0).stdout;
    assert!(status.contains("is kept exited by hand"), "{status}");
    drop(agent);
    host.write("shop.toml", &sleeper("env = { A = \"1\" }"));
    let agent = host.agent();
    agent.wait_for("shop/main", "it is made anew, and not started", |container| {
        container["actual"] == "created"
    });
    agent.wait_converged();
    host.homeostat(&["start", "shop/main"]).expect_code(0);
    agent.wait_running("shop/main");
    host.homeostat(&["pause", "shop/main"]).expect_code(0);
    agent.wait_converged();
    host.homeostat(&["unpause", "shop/main"]).expect_code(0);
    assert_eq!(states(&host), ["shop/main running"]);
    let before = host.pid("shop/main");
    host.homeostat(&["restart", "shop"]).expect_code(0);
    assert_ne!(host.pid("shop/main"), before);
}

#[test]
fn one_more_like_a_declared_one_runs_beside_it_on_its_volumes() {
    let host = host();
    let more = "volumes = [\"data:/data\"]\nenv = { WHO = \"main\" }\n\n[volume.data]\n";
    host.write("shop.toml", &sleeper(more));
    host.apply().expect_code(0);
    let script = "echo $WHO $MORE > /data/left";
    let run = ["run", "-d", "--name", "job", "-e", "MORE=job", "shop/main", "sh", "-c", script];
    assert_eq!(host.homeostat(&run).expect_code(0).stdout, "shop/job\n");
    assert_eq!(host.homeostat(&["wait", "shop/job"]).expect_code(0).stdout, "0\n");
    host.homeostat(&["run", "-d", "--name", "look", "shop/main", "cat", "/data/left"]).expect_code(0);
    host.homeostat(&["wait", "shop/look"]).expect_code(0);
    assert!(host.homeostat(&["logs", "shop/look"]).expect_code(0).stdout.ends_with("main job\n"));
    // Specs are applied around them.
    host.apply().expect_code(0);
    assert_eq!(states(&host), ["shop/job exited", "shop/look exited", "shop/main running"]);
    host.homeostat(&["rm", "shop/job", "shop/look"]).expect_code(0);
    assert_eq!(states(&host), ["shop/main running"]);
}

#[test]
fn a_program_that_is_not_there_leaves_nothing_and_dockers_exit_code() {
    let host = host();
    for (program, code) in [("nosuch", 127), ("/etc", 126)] {
        let outcome = host.homeostat(&["run", "-d", "bb", program]).expect_code(code);
        assert!(outcome.stderr.contains(program), "{}", outcome.stderr);
    }
    let image = host.homeostat(&["run", "-d", "--pull", "never", "none:1"]).expect_code(125);
    assert!(image.stderr.contains("none:1"), "{}", image.stderr);
    assert_eq!(states(&host), [""; 0]);
}

#[test]
fn volumes_without_a_name_go_with_their_container_and_named_ones_stay() {
    let host = host();
    let run = [
        "run",
        "-d",
        "--name",
        "x",
        "-v",
        "kept:/kept",
        "-v",
        "/gone",
        "bb",
        "sh",
        "-c",
        "touch /kept/a /gone/b",
    ];
    host.homeostat(&run).expect_code(0);
    assert_eq!(host.homeostat(&["wait", "x"]).expect_code(0).stdout, "0\n");
    host.homeostat(&["rm", "x"]).expect_code(0);
    let look = ["run", "-d", "--name", "y", "-v", "kept:/kept", "bb", "ls", "/kept"];
    host.homeostat(&look).expect_code(0);
    host.homeostat(&["wait", "y"]).expect_code(0);
    assert!(host.homeostat(&["logs", "y"]).expect_code(0).stdout.ends_with("a\n"));
}

#[test]
fn in_the_foreground_it_is_at_the_command_line_until_it_ends() {
    let host = host();
    let script = "cat; echo to-stderr >&2; exit 7";
    let run = ["run", "--rm", "-i", "--name", "x", "bb", "sh", "-c", script];
    let outcome = host.homeostat_reading(&run, b"one\ntwo").expect_code(7);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("one\ntwo", "to-stderr\n"));
    assert_eq!(states(&host), [""; 0], "it is removed");
    for (program, code) in [("nosuch", 127), ("/etc", 126)] {
        let outcome = host.homeostat(&["run", "bb", program]).expect_code(code);
        assert!(outcome.stderr.contains(program), "{}", outcome.stderr);
    }
    assert_eq!(states(&host), [""; 0], "nothing is left of what was never run");
    host.write("shop.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_running("shop/main");
    let outcome = host.homeostat(&["run", "--name", "y", "bb", "sh", "-c", "echo out; exit 37"]);
    assert_eq!((outcome.expect_code(37).stdout.as_str(), states(&host).len()), ("out\n", 2));
    host.homeostat(&["run", "--rm", "--name", "z", "bb", "true"]).expect_code(0);
    assert_eq!(states(&host), ["run/y exited", "shop/main running"]);
}

#[test]
fn a_container_lives_and_goes_by_hand_on_docker() {
    let host = Host::with_docker();
    homeostat_e2e::busybox_in_docker(&host);
    host.docker(&["tag", "busybox:mine", "bb"]);
    whole_life(&host);
}
