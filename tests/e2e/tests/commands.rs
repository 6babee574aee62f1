//! Commands that only look.

use std::io::Write;
use std::process::{Command, Stdio};

use homeostat_e2e::{Agent, Host, busybox_image, eventually, run, sleeper};

#[test]
fn metrics_are_what_prometheus_reads() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper("resources = { memory = \"64MiB\" }"));
    let source = host.source();
    let agent = Agent::start(&host, source.to_str().unwrap(), &["--listen", "127.0.0.1:9464"]);
    agent.wait_converged();
    let get = |path: &str| run("curl", &["-sS", "--max-time", "5", &format!("http://127.0.0.1:9464{path}")]);
    assert_eq!(get("/healthz"), "ok\n");
    assert_eq!(get("/readyz"), "ok\n");
    let text = eventually("the container's memory is told", || {
        let text = get("/metrics");
        text.contains("container_memory_working_set_bytes{").then_some(text)
    });
    for metric in [
        "homeostat_build_info{",
        "homeostat_reconcile_duration_seconds_bucket{",
        "homeostat_app_synced{app=\"one\"} 1",
        "container_cpu_usage_seconds_total{",
    ] {
        assert!(text.contains(metric), "{metric} in\n{text}");
    }
    assert!(
        text.contains("homeostat_container_state{app=\"one\",container=\"main\",state=\"running\"} 1"),
        "{text}"
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool is installed by `make test`");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn build_images_and_prune_work_by_hand() {
    let host = Host::new();
    busybox_image(&host);
    let context = host.source().join("busybox");
    let context = context.to_str().unwrap();
    let first = host.homeostat(&["build", context, "-t", "local/busybox:1"]).expect_code(0);
    assert!(first.stdout.contains("local/busybox:1"), "{}", first.stdout);
    let second = host.homeostat(&["build", context, "-t", "local/busybox:1", "-o", "json"]).expect_code(0);
    let third = host.homeostat(&["build", context, "-t", "local/busybox:1", "-o", "json"]).expect_code(0);
    assert_eq!(second.stdout, third.stdout, "the same inputs give the same image");
    let images = host.homeostat(&["images", "-o", "json"]).expect_code(0).json();
    assert_eq!(images[0]["reference"], "local/busybox:1");
    let foreseen = host.homeostat(&["prune", "--dry-run", "-o", "json"]).expect_code(0).json();
    assert_eq!((&foreseen["dry_run"], &foreseen["items"][0]["kind"]), (&true.into(), &"image".into()));
    assert_eq!(foreseen["items"][0]["name"], "local/busybox:1");
    let listed = host.homeostat(&["prune", "--dry-run"]).expect_code(0).stdout;
    assert!(
        listed.contains("KIND") && listed.contains("local/busybox:1") && listed.contains("would be freed")
    );
    assert_eq!(host.homeostat(&["images", "-o", "json"]).json().as_array().map(Vec::len), Some(1));
    host.homeostat(&["prune"]).expect_code(0);
    assert_eq!(host.homeostat(&["images", "-o", "json"]).json().as_array().map(Vec::len), Some(0));
    let events = host.homeostat(&["events", "-o", "json"]).expect_code(0).json();
    let pruned = events.as_array().and_then(|events| events.last().cloned()).unwrap_or_default();
    assert_eq!(pruned["kind"], "pruned", "{events}");
}

#[test]
fn logs_can_be_followed_and_cut() {
    let host = Host::new();
    busybox_image(&host);
    host.write(
        "one.toml",
        &sleeper("").replace("echo started;", "echo first; echo second >&2; sleep 1; echo third;"),
    );
    host.apply().expect_code(0);
    let mut follow = host
        .command()
        .args(["logs", "one", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().unwrap()));
    let seen: Vec<String> = lines.map_while(Result::ok).take(3).collect();
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert_eq!(seen, ["first", "second", "third"]);
    assert_eq!(host.homeostat(&["logs", "one", "--tail", "1"]).expect_code(0).stdout, "third\n");
}

/// An app whose two containers speak in turn: each waits for a file that says what the other has said, and then some time, in
/// which the line gets its own.
const TWO_VOICES: &str = r#"
[image.busybox]
build = { context = "./busybox" }

[volume.said]

[container.db]
image = "busybox"
command = ["sh", "-c", """
echo one; sleep 0.2; : >/said/one
until [ -e /said/two ]; do sleep 0.05; done; echo three >&2; sleep 0.2; : >/said/three"""]
volumes = ["said:/said"]
state = "exited"

[container.web]
image = "busybox"
command = ["sh", "-c", """
until [ -e /said/one ]; do sleep 0.05; done; echo two; sleep 0.2; : >/said/two
until [ -e /said/three ]; do sleep 0.05; done; echo four"""]
volumes = ["said:/said"]
state = "exited"
"#;

#[test]
fn the_logs_of_an_app_are_those_of_its_containers_by_time() {
    let host = Host::new();
    busybox_image(&host);
    host.write("two.toml", TWO_VOICES);
    host.apply().expect_code(0);
    let listed = |options: &[&str]| host.homeostat(&[&["logs", "two"], options].concat()).expect_code(0);
    assert_eq!(listed(&[]).stdout, "db  | one\nweb | two\ndb  | three\nweb | four\n");
    assert_eq!(listed(&["--tail", "1"]).stdout, "db  | three\nweb | four\n", "of each container");
    let json = listed(&["-o", "json"]).stdout;
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[2]["container"], &lines[2]["stream"]), (&"db".into(), &"stderr".into()));
    let until = lines[1]["time"].as_str().unwrap();
    assert_eq!(listed(&["--until", until]).stdout, "db  | one\nweb | two\n");
    assert_eq!(listed(&["--until", until, "--tail", "1", "--follow"]).stdout, "db  | one\nweb | two\n");
    assert_eq!(host.homeostat(&["logs", "two/web"]).expect_code(0).stdout, "two\nfour\n");
    let unknown = host.homeostat(&["logs", "three"]).expect_code(2);
    assert!(unknown.stderr.contains("two/db, two/web"), "{}", unknown.stderr);
}

#[test]
fn the_logs_of_an_app_go_on_with_containers_that_come_later() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    let agent = host.agent();
    agent.wait_running("one/main");
    let mut follow = host
        .command()
        .args(["logs", "one", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().unwrap())).map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("started"));
    let more = "[container.second]\nimage = \"busybox\"\ncommand = [\"sh\", \"-c\", \"echo later; sleep 1000\"]\nstop = { signal = \"SIGKILL\" }\n";
    host.write("one.toml", &sleeper(more));
    assert_eq!(lines.next().as_deref(), Some("second | later"));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn what_is_asked_for_wrongly_is_told_with_what_there_is() {
    let host = Host::new();
    busybox_image(&host);
    host.write("one.toml", &sleeper(""));
    host.apply().expect_code(0);
    let unknown = host.homeostat(&["inspect", "nothing"]).expect_code(2);
    assert!(unknown.stderr.contains("one/main"), "{}", unknown.stderr);
    let missing = host.homeostat(&["apply", "/does/not/exist"]).expect_code(2);
    assert!(missing.stderr.contains("/does/not/exist"), "{}", missing.stderr);
    let script = host.homeostat(&["completion", "bash"]).expect_code(0);
    assert!(script.stdout.contains("homeostat"));
}
