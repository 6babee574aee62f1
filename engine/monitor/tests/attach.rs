//! Those who are attached to a container, or to a command in one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use homeostat_attach::Frame;
use homeostat_log::LogStream;
use homeostat_monitor::{ExecMode, Report};
use homeostat_reconciler::ports::{AttachInput, AttachRequest, TerminalSize};
use support::attached::{Attached, exec_request};
use support::{Container, feed, monitor, process, shell, until};

fn watching() -> AttachRequest {
    AttachRequest::default()
}

fn foreground() -> AttachRequest {
    AttachRequest { stdin: true, foreground: true, size: None }
}

fn open(script: &str) -> Container {
    let mut container = Container::new(shell(script));
    container.request.stdin_open = true;
    container
}

fn sleeping() -> Container {
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.start().unwrap();
    container
}

const SIZE: TerminalSize = TerminalSize { rows: 31, columns: 97 };
const ATTACHED: ExecMode = ExecMode::Attached { stdin: true, terminal: None };
const IN_TERMINAL: ExecMode = ExecMode::Attached { stdin: true, terminal: Some(SIZE) };

#[test]
fn who_attaches_talks_to_the_program_and_hears_its_end() {
    let mut container = open("read line; echo got $line; echo err >&2; exit 7");
    container.start().unwrap();
    let mut watcher = Attached::to(&container, watching());
    let mut attached = Attached::to(&container, foreground());
    watcher.type_in("not for it\n");
    attached.type_in("hello\n");
    assert_eq!(attached.code(), 7);
    assert_eq!((attached.text().as_str(), attached.stderr.as_slice()), ("got hello\n", &b"err\n"[..]));
    assert_eq!((watcher.code(), watcher.text().as_str()), (7, "got hello\n"));
    assert_eq!(container.wait().code, 7);
    assert_eq!(container.output(LogStream::Stdout), "got hello\n");
    assert!(!container.directory().join("attach.sock").exists());
    container.assert_nothing_left();
}

#[test]
fn who_is_there_from_the_start_misses_nothing_however_slow() {
    let mut container = Container::new(shell("seq 1 200000; exit 3"));
    container.request.log.rotation.max_size = 1 << 30;
    let mut attached = Attached::start(&mut container, foreground());
    // The program has to wait: more comes than all buffers hold.
    until("it has begun", || container.output(LogStream::Stdout).lines().count() > 1000);
    assert!(container.monitor.as_mut().unwrap().try_wait().unwrap().is_none());
    assert_eq!(attached.code(), 3);
    container.wait();
    assert!(attached.text() == container.output(LogStream::Stdout), "the log has the same");
    assert_eq!(attached.text().lines().count(), 200_000);
}

#[test]
fn what_was_not_taken_when_the_program_ended_can_be_read_later() {
    let mut container = Container::new(shell("seq 1 10000"));
    let mut attached = Attached::start(&mut container, foreground());
    container.wait();
    assert_eq!(attached.code(), 0);
    assert_eq!(attached.text().lines().count(), 10_000);
}

#[test]
fn nobody_but_the_foreground_holds_the_program_back() {
    let mut container = open("read go; seq 1 500000; echo done");
    container.start().unwrap();
    let mut slow = Attached::to(&container, watching());
    let mut attached = Attached::to(&container, foreground());
    attached.type_in("\n");
    assert_eq!(attached.code(), 0);
    container.wait();
    let mut last = None;
    while let Some(frame) = slow.next() {
        last = Some(frame);
    }
    assert!(matches!(&last, Some(Frame::CutOff(reason)) if reason.contains("too slowly")));
}

#[test]
fn megabytes_go_in_and_the_end_of_the_foreground_is_that_of_the_input() {
    let mut container = open("md5sum; cat");
    let mut attached = Attached::start(&mut container, foreground());
    let sent: Vec<u8> = (0..5_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let expected = feed(&mut std::process::Command::new("md5sum"), &sent);
    attached.input(AttachInput::Stdin(sent.into()));
    attached.input(AttachInput::EndOfStdin);
    assert_eq!(attached.code(), 0);
    assert_eq!(attached.text(), String::from_utf8(expected.stdout).unwrap());
}

#[test]
fn who_detaches_leaves_the_input_open_and_who_is_gone_ends_it() {
    let mut container = open("while read line; do echo got $line; done; echo end");
    let mut attached = Attached::start(&mut container, foreground());
    attached.type_in("one\n");
    attached.wait_for("got one\n");
    attached.input(AttachInput::Detach);
    assert_eq!(attached.next(), None);
    let mut other = Attached::to(&container, AttachRequest { stdin: true, ..watching() });
    other.type_in("two\n");
    other.input(AttachInput::EndOfStdin);
    other.wait_for("got two\n");
    drop(Attached::to(&container, foreground()));
    assert_eq!(other.code(), 0);
    assert_eq!(other.text(), "got two\nend\n");
}

#[test]
fn a_terminal_has_a_size_and_belongs_to_its_user() {
    let script = "tty; stty size; stat -c %U $(tty); echo $TERM; trap 'stty size; exit 4' WINCH; \
                  echo ready; while :; do sleep 0.01; done";
    let mut container = open(script);
    container.request.terminal = true;
    container.request.process.user = Some("web".into());
    let mut attached = Attached::start(&mut container, AttachRequest { size: Some(SIZE), ..foreground() });
    attached.wait_for("ready\r\n");
    assert_eq!(attached.text(), "/dev/pts/0\r\n31 97\r\nweb\r\nxterm\r\nready\r\n");
    attached.input(AttachInput::Resize(TerminalSize { rows: 5, columns: 6 }));
    assert_eq!(attached.code(), 4);
    assert!(attached.text().ends_with("ready\r\n5 6\r\n"), "{}", attached.text());
    container.wait();
    assert!(container.output(LogStream::Stdout).contains("31 97"));
    container.assert_nothing_left();
}

#[test]
fn signals_reach_the_first_process() {
    let mut container =
        Container::new(shell("trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.01; done"));
    let mut attached = Attached::start(&mut container, foreground());
    attached.wait_for("ready\n");
    attached.input(AttachInput::Signal(10));
    assert_eq!((attached.code(), attached.text().as_str()), (9, "ready\ncaught\n"));
}

#[test]
fn a_command_takes_as_much_as_it_gives() {
    let container = sleeping();
    let (mut attached, mut child) = Attached::exec(&container, process(&["cat"]), ATTACHED);
    let sent = vec![b'x'; 8_000_000];
    let mut writer = Attached::over(attached.socket.try_clone().unwrap());
    let data = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.input(AttachInput::Stdin(data.into()));
        writer.input(AttachInput::EndOfStdin);
    });
    assert_eq!(attached.code(), 0);
    writing.join().unwrap();
    assert!(attached.stdout == sent);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_in_a_terminal_is_interrupted_and_resized() {
    let container = sleeping();
    let script =
        "stty size; trap 'echo interrupted; stty size; exit 3' INT; echo ready; while :; do sleep 0.01; done";
    let (mut attached, _) = Attached::exec(&container, shell(script), IN_TERMINAL);
    attached.wait_for("ready\r\n");
    assert!(attached.text().starts_with("31 97\r\n"), "{}", attached.text());
    attached.input(AttachInput::Resize(TerminalSize { rows: 7, columns: 8 }));
    attached.type_in("\u{3}");
    assert_eq!(attached.code(), 3);
    assert!(attached.text().contains("interrupted\r\n7 8\r\n"), "{}", attached.text());
    let left = fs_err::read_dir(container.request.runtime_dir.join(&container.request.id)).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("tty") || name.to_string_lossy().contains("console"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_command_that_cannot_be_run_says_why() {
    let container = sleeping();
    for (command, code) in [("no-such-command", 127), ("/etc/passwd", 126)] {
        for mode in [ATTACHED, IN_TERMINAL] {
            let end = Attached::exec(&container, process(&[command]), mode).0.end();
            assert_eq!(end.code, Some(code), "{end:?}");
            assert!(end.error.is_some());
        }
    }
}

#[test]
fn a_command_ends_with_whoever_it_is_for() {
    let container = sleeping();
    for mode in [ATTACHED, IN_TERMINAL] {
        let (mut attached, mut child) = Attached::exec(&container, shell("echo ready; sleep 1000"), mode);
        attached.wait_for("ready");
        drop(attached);
        until("the command has ended", || child.try_wait().unwrap().is_some());
    }
    assert_eq!(container.cgroup().processes().unwrap().len(), 1);
}

#[test]
fn a_command_goes_on_when_one_detaches() {
    let container = sleeping();
    for mode in [ATTACHED, IN_TERMINAL] {
        let script = "mkdir -p /tmp; echo ready; until test -e /tmp/go; do sleep 0.01; done; seq 1 100000; touch /tmp/done";
        let (mut attached, mut child) = Attached::exec(&container, shell(script), mode);
        attached.wait_for("ready");
        attached.input(AttachInput::Detach);
        assert_eq!(attached.next(), None);
        drop(attached);
        assert!(container.exec(shell("touch /tmp/go")).status.success());
        until("the command has ended", || child.try_wait().unwrap().is_some());
        assert!(container.exec(shell("rm /tmp/done /tmp/go")).status.success());
    }
}

#[test]
fn a_detached_command_runs_alone_and_says_when_it_cannot() {
    let container = sleeping();
    for terminal in [None, Some(SIZE)] {
        let mode = ExecMode::Detached { terminal };
        let started = |command| {
            let document = serde_json::to_vec(&exec_request(&container, command, mode)).unwrap();
            let output = feed(monitor().arg("exec"), &document);
            serde_json::from_slice::<Report>(&output.stdout).unwrap()
        };
        assert!(matches!(started(process(&["no-such-command"])), Report::Failed(_)));
        assert!(matches!(started(shell("seq 1 100000; touch /tmp/done")), Report::Ready(_)));
        until("the command is done", || container.exec(shell("rm /tmp/done")).status.success());
    }
    until("nothing is left", || container.cgroup().processes().unwrap().len() == 1);
}
