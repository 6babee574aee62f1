//! Commands in a running container.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use homeostat_monitor::{ExecMode, ExecRequest};
use support::{Container, monitor, process, shell, until};

fn running() -> Container {
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.request.process.cwd = Some("/srv".into());
    container.request.process.env.insert("GREETING".into(), "hello".into());
    container.start().unwrap();
    container
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn output_and_exit_code_are_passed_on() {
    let container = running();
    let output = container.exec(shell("echo out; echo err >&2; exit 5"));
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(5), "out\n".into(), "err\n".into())
    );
    assert_eq!(container.exec(process(&["no-such-command"])).status.code(), Some(127));
    assert_eq!(container.exec(process(&["/etc/passwd"])).status.code(), Some(126));
    assert_eq!(container.exec(shell("kill -9 $$")).status.code(), Some(137));
}

#[test]
fn it_is_in_the_container_with_its_environment_and_directory() {
    let container = running();
    let output = container.exec(shell(
        "pwd; echo $GREETING $HOME; hostname; id -u; readlink /proc/1/exe; ls /proc/$$/fd; true",
    ));
    assert_eq!(text(&output.stdout), "/srv\nhello /root\nbox\n0\n/bin/busybox\n0\n1\n2\n");
    let mut asked = shell("pwd; echo $GREETING $HOME; id -u; id -G");
    asked.user = Some("web".into());
    asked.cwd = Some("/tmp".into());
    asked.env.insert("GREETING".into(), "bye".into());
    assert_eq!(text(&container.exec(asked).stdout), "/tmp\nbye /srv\n33\n34 50\n");
}

#[test]
fn it_may_do_no_more_than_the_container() {
    let container = running();
    let script =
        "grep -E '^(Cap(Prm|Eff|Bnd|Inh|Amb)|Seccomp:)' /proc/self/status; unshare -U true || echo refused";
    let exec = text(&container.exec(shell(script)).stdout);
    let mut own = Container::new(shell(script));
    assert_eq!(exec, own.run().1);
    assert!(exec.contains("Seccomp:\t2") && exec.ends_with("refused\n"), "{exec}");
    let mut user = shell("grep CapEff /proc/self/status");
    user.user = Some("web".into());
    assert_eq!(text(&container.exec(user).stdout), "CapEff:\t0000000000000000\n");
}

#[test]
fn it_is_limited_with_the_container() {
    let container = running();
    let output = container.exec(shell("cat /proc/self/cgroup"));
    let before = container.cgroup().processes().unwrap().len();
    assert_eq!(before, 1);
    assert!(!text(&output.stdout).contains("process_api"), "{}", text(&output.stdout));
}

#[test]
fn it_is_killed_when_the_time_is_up() {
    let container = running();
    let request = ExecRequest {
        mode: ExecMode::Waiting,
        parent: std::process::id(),
        runtime_dir: container.request.runtime_dir.clone(),
        id: container.request.id.clone(),
        process: shell("sleep 1000; true"),
        timeout_millis: Some(50),
    };
    let begun = Instant::now();
    assert_eq!(support::exec(&request).status.code(), Some(124));
    assert!(begun.elapsed() < Duration::from_secs(30));
    until("its children are gone", || container.cgroup().processes().unwrap().len() == 1);
}

#[test]
fn it_is_killed_with_its_caller() {
    let container = running();
    // A shell calls, so that the caller can be killed.
    let request = ExecRequest {
        mode: ExecMode::Waiting,
        parent: 0,
        runtime_dir: container.request.runtime_dir.clone(),
        id: container.request.id.clone(),
        process: shell("sleep 1000; true"),
        timeout_millis: None,
    };
    let json = serde_json::to_string(&request).unwrap().replace("\"parent\":0", "\"parent\":PARENT");
    let program = monitor().get_program().to_owned();
    let mut caller = std::process::Command::new("sh")
        .args(["-c", "sed s/PARENT/$$/ | \"$0\" exec; exit 0"])
        .arg(program)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    caller.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
    until("the command runs", || container.cgroup().processes().unwrap().len() >= 3);
    caller.kill().unwrap();
    caller.wait().unwrap();
    until("the command is gone", || container.cgroup().processes().unwrap().len() == 1);
}

#[test]
fn a_container_that_does_not_run_is_said() {
    let container = Container::new(process(&["true"]));
    let output = container.exec(process(&["true"]));
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("does not run"));
}

#[test]
fn it_is_in_all_respects_where_and_what_the_container_is() {
    let script = "for kind in cgroup ipc mnt net pid uts user; do readlink /proc/self/ns/$kind; done; \
        grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Cap[A-Z][a-z]*|Sig(Blk|Ign)):' /proc/self/status; \
        cat /proc/self/cgroup /proc/self/oom_score_adj /proc/self/limits; pwd; umask; \
        ls /proc/$$/fd; grep -c . /proc/self/mountinfo";
    for (user, no_new_privileges) in [(None, true), (Some("web"), false), (Some("web"), true)] {
        let mut container = Container::new(shell(&format!("{script}; echo end; sleep 1000")));
        container.request.process.user = user.map(str::to_owned);
        container.request.security.no_new_privileges = no_new_privileges;
        container.start().unwrap();
        container.wait_for_line("end");
        let own = container.output(homeostat_log::LogStream::Stdout);
        let exec = text(&container.exec(shell(script)).stdout);
        assert_eq!(format!("{exec}end\n"), own);
    }
}

#[test]
fn its_working_directory_cannot_be_a_descriptor_of_the_host() {
    let container = running();
    for number in 3..40 {
        let mut asked = shell("pwd; ls -d ../../../../../lost+found ../../../../../var/lib");
        asked.cwd = Some(format!("/proc/self/fd/{number}"));
        let output = text(&container.exec(asked).stdout);
        assert!(!output.contains("var/lib") && !output.contains("fd"), "fd {number}: {output}");
    }
}
