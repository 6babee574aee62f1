//! A daemon that answers with errors, or slowly, or loses its connections; and how much it is asked at all.

use std::time::{Duration, Instant};

use homeostat_daemons::Fault;
use homeostat_e2e::{Agent, Host, busybox_image, run, sleeper, wait_until};

/// So many containers as a busy host has.
const MANY: usize = 50;

/// An app with so many containers.
fn write_many(host: &Host, count: usize) {
    busybox_image(host);
    let more: Vec<String> = (1..count)
        .map(|number| {
            format!(
                "[container.c{number}]\nimage = \"busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop = {{ signal = \"SIGKILL\" }}\n"
            )
        })
        .collect();
    host.write("many.toml", &sleeper(&more.concat()));
}

/// How many of the requests have one of these ends.
fn count(requests: &[String], ends: &[&str]) -> usize {
    requests.iter().filter(|request| ends.iter().any(|end| request.ends_with(end))).count()
}

/// Waits until the daemon has not been asked anything for a while, and forgets what it was asked before.
fn wait_until_quiet(host: &Host) {
    let mut since = Instant::now();
    wait_until("nothing more is asked", || {
        if !host.proxy().take_requests().is_empty() {
            since = Instant::now();
        }
        since.elapsed() > Duration::from_secs(1)
    });
}

fn containers(host: &Host) -> usize {
    host.docker(&["ps", "--all", "--quiet"]).lines().count()
}

#[test]
fn looking_at_fifty_containers_and_finding_nothing_to_do_takes_three_requests_at_most() {
    let host = Host::with_docker_behind_a_proxy();
    write_many(&host, MANY);
    host.apply().expect_code(0);
    let agent = Agent::start(&host, host.source().to_str().unwrap(), &["--listen", "127.0.0.1:9464"]);
    agent.wait_converged();
    assert_eq!(containers(&host), MANY);
    wait_until_quiet(&host);
    host.homeostat(&["apply"]).expect_code(0);
    let requests = host.proxy().take_requests();
    assert!((1..=3).contains(&requests.len()), "an apply asked {requests:?}");
    // A change of the source that changes nothing.
    host.write(
        "many.toml",
        &format!("# Just a word.\n{}", fs_err::read_to_string(host.source().join("many.toml")).unwrap()),
    );
    wait_until("the source was read", || !host.proxy().take_requests().is_empty());
    wait_until_quiet(&host);
    host.status();
    host.homeostat(&["plan"]).expect_code(0);
    let requests = host.proxy().take_requests();
    assert!(requests.len() <= 3, "status and plan asked {requests:?}");
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_secs(3) {
        let requests = host.proxy().take_requests();
        assert!(requests.is_empty(), "nobody asked for {requests:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_daemon_that_answers_with_errors_is_waited_for() {
    let host = Host::with_docker_behind_a_proxy();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = Agent::start(&host, host.source().to_str().unwrap(), &["--listen", "127.0.0.1:9464"]);
    agent.wait_converged();
    let pid = host.pid("one/main");
    host.proxy().set(Fault::Refuse);
    host.proxy().cut();
    wait_until("the status says what the daemon answers", || {
        host.status()["engine_error"].to_string().contains("on fire")
    });
    assert_eq!(host.container("one/main")["actual"], "running", "it is not taken for gone");
    let ready = run("curl", &["-sS", "http://127.0.0.1:9464/readyz"]);
    assert!(ready.contains("on fire"), "{ready}");
    assert!(run("curl", &["-sS", "http://127.0.0.1:9464/metrics"]).contains("\nhomeostat_engine_up 0\n"));
    // What is asked meanwhile is asked with pauses.
    host.proxy().take_requests();
    std::thread::sleep(Duration::from_secs(3));
    let requests = host.proxy().take_requests();
    assert!(requests.len() < 20, "{requests:?}");
    assert_eq!(count(&requests, &["/create", "/start", "/stop"]), 0, "{requests:?}");
    host.write("two.toml", &sleeper(""));
    host.proxy().set(Fault::None);
    agent.wait_running("two/main");
    agent.wait_converged();
    assert_eq!(host.pid("one/main"), pid);
    assert_eq!(containers(&host), 2);
}

#[test]
fn errors_after_the_deed_make_nothing_twice() {
    let host = Host::with_docker_behind_a_proxy();
    write_many(&host, 5);
    let agent = host.agent();
    wait_until("the first container is being made", || containers(&host) > 0);
    host.proxy().set(Fault::ForgetAnswers);
    host.write("more.toml", &sleeper(""));
    wait_until("a container was made, and the answer was lost", || {
        count(&host.proxy().take_requests(), &["/containers/create"]) > 0
    });
    host.proxy().set(Fault::None);
    agent.wait_running("more/main");
    agent.wait_converged();
    assert_eq!(containers(&host), 6);
}

#[test]
fn a_daemon_that_is_slow_is_given_its_time() {
    let host = Host::with_docker_behind_a_proxy();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let agent = host.agent();
    agent.wait_converged();
    let pid = host.pid("one/main");
    host.proxy().set(Fault::Delay(Duration::from_secs(1)));
    host.proxy().take_requests();
    host.write("two.toml", &sleeper(""));
    agent.wait_running("two/main");
    let status = agent.wait_converged();
    assert_eq!(status["engine_error"], serde_json::Value::Null, "{status}");
    let requests = host.proxy().take_requests();
    assert_eq!(count(&requests, &["/containers/create"]), 1, "nothing is asked twice: {requests:?}");
    assert_eq!(host.pid("one/main"), pid);
}

#[test]
fn what_changes_while_events_are_lost_is_seen() {
    let host = Host::with_docker_behind_a_proxy();
    write_many(&host, 3);
    let agent = host.agent();
    agent.wait_converged();
    for round in 0..5 {
        host.proxy().cut();
        host.docker(&["rm", "--force", "many_c1"]);
        host.proxy().cut();
        host.docker(&["kill", "many_c2"]);
        host.proxy().cut();
        wait_until(&format!("round {round}: all run again"), || {
            let running = host.docker(&["ps", "--quiet"]).lines().count();
            running == 3 && host.status()["converged"] == true
        });
    }
    assert_eq!(containers(&host), 3);
}

#[test]
fn an_engine_that_speaks_too_old_a_version_is_waited_for_and_what_runs_is_left_alone() {
    let host = Host::with_docker_behind_a_proxy();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = Agent::start(&host, host.source().to_str().unwrap(), &["--listen", "127.0.0.1:9464"]);
    agent.wait_converged();
    let pid = host.pid("one/main");
    // As after a downgrade: it was away for a moment, and is an older one since.
    host.proxy().set(Fault::SpeakOldVersion);
    host.proxy().cut();
    let needed = "the engine has version 1.24 of the API, and 1.41 is needed";
    wait_until("the status says which version is needed", || {
        host.status()["engine_error"].to_string().contains(needed)
    });
    let ready = run("curl", &["-sS", "http://127.0.0.1:9464/readyz"]);
    assert!(ready.contains(needed) && ready.contains("Docker 20.10"), "{ready}");
    assert_eq!(host.container("one/main")["actual"], "running", "it is not taken for gone");
    host.write("two.toml", &sleeper(""));
    host.proxy().take_requests();
    let mut asked = Vec::new();
    wait_until("it is asked again", || {
        asked.extend(host.proxy().take_requests());
        count(&asked, &["/version"]) >= 3
    });
    assert_eq!(count(&asked, &["/version"]), asked.len(), "nothing else is asked: {asked:?}");
    assert_eq!(containers(&host), 1);
    host.proxy().set(Fault::None);
    agent.wait_running("two/main");
    agent.wait_converged();
    assert_eq!(host.pid("one/main"), pid);
}
