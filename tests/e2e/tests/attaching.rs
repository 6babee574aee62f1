//! Commands in containers, and attaching to containers, at terminals and in pipes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Stdio};

use homeostat_e2e::{Host, Typist, busybox_image, eventually, sleeper, wait_until};
use nix::sys::signal::Signal;

/// Says ready, and then the size of its terminal whenever that changes, until it is interrupted.
const SCREEN: &str = "trap 'busybox stty size' WINCH; trap 'echo interrupted; exit 3' INT; busybox stty size; \
                      echo ready; while :; do busybox usleep 10000; done";

fn host() -> Host {
    prepared(Host::new())
}

/// With a container to run commands in, and one to talk with.
fn prepared(host: Host) -> Host {
    busybox_image(&host);
    let more = "[container.echo]\nimage = \"busybox\"\nstdin_open = true\nrestart = \"no\"\n\
        command = [\"sh\", \"-c\", \"while read line; do echo got $line; done\"]\n\
        stop = { signal = \"SIGKILL\" }\n";
    host.write("shop.toml", &sleeper(more));
    host.apply().expect_code(0);
    host
}

fn typist(host: &Host, arguments: &[&str]) -> Typist {
    let mut command = host.command();
    command.args(arguments);
    Typist::run(command, 31, 97)
}

fn its_own_and_its_code(host: &Host) {
    let script = "echo $COLOUR $(id -u) $(busybox pwd); echo err >&2; exit 7";
    let options = ["exec", "-e", "COLOUR=red", "-u", "1000", "-w", "/bin", "shop/main", "sh", "-c", script];
    let outcome = host.homeostat(&options).expect_code(7);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("red 1000 /bin\n", "err\n"));
    for (command, code) in [("no-such-program", 127), ("/etc", 126)] {
        assert!(!host.homeostat(&["exec", "shop/main", command]).expect_code(code).stderr.is_empty());
    }
    host.homeostat(&["exec", "shop/main", "sh", "-c", "kill -9 $$"]).expect_code(137);
    let unknown = host.homeostat(&["exec", "shop/none", "true"]).expect_code(125);
    assert!(unknown.stderr.contains("there is no container shop/none"), "{}", unknown.stderr);
    let piped = host.homeostat_reading(&["exec", "-it", "shop/main", "sh"], b"").expect_code(125);
    assert!(piped.stderr.contains("no terminal"), "{}", piped.stderr);
}

#[test]
fn a_command_has_what_it_is_given_and_gives_its_code() {
    its_own_and_its_code(&host());
}

fn megabytes(host: &Host) {
    let sent: Vec<u8> =
        (0..6_000_000u32).map(|number| number.to_le_bytes()[1] ^ number.to_le_bytes()[0]).collect();
    fs_err::write(host.path("sent"), &sent).unwrap();
    let stdin = fs_err::File::open(host.path("sent")).unwrap().into_parts().0;
    let output = host.command().args(["exec", "-i", "shop/main", "cat"]).stdin(stdin).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == sent, "{} bytes came", output.stdout.len());
}

#[test]
fn megabytes_go_through_a_command_as_they_are() {
    let host = host();
    let _agent = host.agent();
    megabytes(&host);
}

fn at_a_terminal(host: &Host) {
    let mut typist = typist(host, &["exec", "-it", "shop/main", "sh", "-c", SCREEN]);
    typist.wait_for("ready\r\n");
    assert!(typist.is_raw());
    typist.wait_for("31 97\r\n");
    typist.resize(7, 50);
    typist.wait_for("7 50\r\n");
    typist.type_in("\u{3}");
    typist.wait_for("interrupted\r\n");
    assert_eq!(typist.code(), Some(3));
    assert!(!typist.is_raw(), "the terminal is as it was");
}

#[test]
fn a_terminal_is_passed_through_with_its_size_and_keys() {
    let host = host();
    at_a_terminal(&host);
    let screen = typist(&host, &["exec", "-it", "shop/main", "busybox", "stty", "size"]);
    screen.wait_for("31 97\r\n");
    let _agent = host.agent();
    at_a_terminal(&host);
}

#[test]
fn the_data_directory_is_free_while_somebody_is_at_a_command() {
    let host = host();
    let mut typist = typist(&host, &["exec", "-it", "shop/main", "sh", "-c", SCREEN]);
    typist.wait_for("ready\r\n");
    assert!(host.homeostat(&["ps", "-q"]).expect_code(0).stdout.contains("shop/main"));
    typist.signal(Signal::SIGTERM);
    assert_eq!(typist.code(), Some(143));
    assert!(!typist.is_raw(), "the terminal is as it was");
}

/// How many processes a container has.
fn processes(host: &Host, key: &str) -> usize {
    let listed = host.homeostat(&["top", key, "-o", "json"]).expect_code(0).json();
    listed.as_array().map_or(0, Vec::len)
}

#[test]
fn one_leaves_with_the_keys_and_the_command_goes_on() {
    let host = host();
    let _agent = host.agent();
    leave_with_the_keys(&host);
}

fn leave_with_the_keys(host: &Host) {
    let before = processes(host, "shop/main");
    let script = "echo ready; until test -e /go; do busybox usleep 10000; done; touch /done";
    let mut typist =
        typist(host, &["exec", "-it", "--detach-keys", "ctrl-a,d", "shop/main", "sh", "-c", script]);
    typist.wait_for("ready\r\n");
    typist.type_in("\u{1}d");
    assert_eq!(typist.code(), Some(0));
    assert!(!typist.is_raw());
    assert!(processes(host, "shop/main") > before);
    host.homeostat(&["exec", "shop/main", "touch", "/go"]).expect_code(0);
    eventually("it is done", || {
        host.homeostat(&["exec", "shop/main", "test", "-e", "/done"]).code.filter(|code| *code == 0)
    });
}

#[test]
fn when_the_agent_is_killed_what_runs_alone_goes_on_and_a_command_for_somebody_ends() {
    let host = host();
    let agent = host.agent();
    let pid = host.pid("shop/main");
    let before = processes(&host, "shop/main");
    let script = "until test -e /go; do busybox usleep 10000; done; touch /done";
    host.homeostat(&["exec", "-d", "shop/main", "sh", "-c", script]).expect_code(0);
    host.homeostat(&["exec", "-d", "shop/main", "no-such-program"]).expect_code(127);
    let mut typist = typist(&host, &["exec", "-it", "shop/main", "sh", "-c", "echo ready; sleep 987654"]);
    typist.wait_for("ready\r\n");
    agent.end(Signal::SIGKILL);
    assert_eq!(typist.code(), Some(125));
    assert!(!typist.is_raw());
    assert_eq!(host.pid("shop/main"), pid);
    let ended = || {
        !host.homeostat(&["exec", "shop/main", "busybox", "pgrep", "-f", "sleep 98765[4]"]).stdout.is_empty()
    };
    wait_until("the command for somebody has ended", || !ended());
    assert!(processes(&host, "shop/main") > before, "the other goes on");
    host.homeostat(&["exec", "shop/main", "touch", "/go"]).expect_code(0);
    eventually("it is done", || {
        host.homeostat(&["exec", "shop/main", "test", "-e", "/done"]).code.filter(|code| *code == 0)
    });
}

#[test]
fn one_attaches_talks_leaves_and_hears_the_end() {
    let host = host();
    let _agent = host.agent();
    let attach = |stdin: Stdio| -> std::process::Child {
        let mut command: Command = host.command();
        command.args(["attach", "shop/echo"]).stdin(stdin).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut listener = attach(Stdio::null());
    let mut speaker = attach(Stdio::piped());
    let mut keyboard = speaker.stdin.take().unwrap();
    let lines = || host.homeostat(&["logs", "shop/echo"]).expect_code(0).stdout;
    eventually("it is heard", || {
        std::io::Write::write_all(&mut keyboard, b"hello\n").unwrap();
        lines().contains("got hello").then_some(())
    });
    speaker.kill().unwrap();
    speaker.wait().unwrap();
    assert_ne!(host.container("shop/echo")["actual"], "exited");
    host.write("shop.toml", &sleeper(""));
    let code = eventually("the listener hears the end", || listener.try_wait().unwrap()).code();
    assert_eq!(code, Some(137));
}

/// Everything that does not need processes of homeostat's own, with an agent and without.
fn on_a_daemon(host: Host) {
    let host = prepared(host);
    its_own_and_its_code(&host);
    at_a_terminal(&host);
    gone_with_its_terminal(&host);
    let _agent = host.agent();
    at_a_terminal(&host);
    megabytes(&host);
    leave_with_the_keys(&host);
    in_the_foreground(&host);
}

/// A command ends with whoever it was run for.
fn gone_with_its_terminal(host: &Host) {
    let before = processes(host, "shop/main");
    let mut typist = typist(host, &["exec", "-it", "shop/main", "sh", "-c", "echo ready; sleep 987654"]);
    typist.wait_for("ready\r\n");
    assert!(processes(host, "shop/main") > before);
    typist.signal(Signal::SIGTERM);
    assert_eq!(typist.code(), Some(143));
    assert!(!typist.is_raw(), "the terminal is as it was");
    wait_until("the command has ended", || processes(host, "shop/main") == before);
}

/// `run`, with what it reads in a pipe, at a terminal, and left by the keys.
fn in_the_foreground(host: &Host) {
    let image = "localhost/bb:1";
    let context = host.source().join("busybox");
    host.homeostat(&["build", "-t", image, context.to_str().unwrap()]).expect_code(0);
    let script = "cat; echo to-stderr >&2; exit 7";
    let outcome = host.homeostat_reading(&["run", "--rm", "-i", image, "sh", "-c", script], b"one\ntwo");
    let outcome = outcome.expect_code(7);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("one\ntwo", "to-stderr\n"));
    for (program, code) in [("nosuch", 127), ("/etc", 126)] {
        let outcome = host.homeostat(&["run", image, program]).expect_code(code);
        assert!(outcome.stderr.contains(program), "{}", outcome.stderr);
    }
    let mut typist = typist(host, &["run", "--rm", "-it", "--name", "screen", image, "sh", "-c", SCREEN]);
    typist.wait_for("ready\r\n");
    typist.wait_for("31 97\r\n");
    typist.resize(7, 50);
    typist.wait_for("7 50\r\n");
    typist.type_in("\u{10}\u{11}");
    assert_eq!(typist.code(), Some(0));
    assert_eq!(host.container("run/screen")["actual"], "running");
    let mut back = self::typist(host, &["attach", "run/screen"]);
    back.resize(9, 40);
    back.wait_for("9 40\r\n");
    back.type_in("\u{3}");
    assert_eq!(back.code(), Some(3));
}

#[test]
fn one_is_connected_to_containers_of_docker() {
    on_a_daemon(Host::with_docker());
}

#[test]
fn one_is_connected_to_containers_of_a_docker_over_tls() {
    let host = prepared(Host::with_docker_over_tls());
    its_own_and_its_code(&host);
    megabytes(&host);
    at_a_terminal(&host);
}

#[test]
fn one_is_connected_to_containers_of_podman() {
    on_a_daemon(Host::with_podman());
}
