//! What is left after a kill -9, a full disk, and other accidents.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::net::TcpListener;

use fs_err as fs;
use homeostat_log::{CURRENT, LogStream};
use homeostat_monitor::{ExitRecord, FailureKind, RunState, save_rotation};
use homeostat_spec::{LogRotation, Protocol, PublishedPort};
use nix::sys::signal::Signal;
use support::{Container, process, shell, until};

#[test]
fn the_container_ends_with_its_monitor_and_can_be_started_again() {
    let mut container = Container::new(shell("echo run; sleep 1000 & sleep 1000"));
    let state = container.start().unwrap();
    container.wait_for_line("run");
    let mut monitor = container.monitor.take().unwrap();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    until("the container is gone", || container.cgroup().processes().unwrap().is_empty());
    assert!(!state.monitor.is_alive());
    // It leaves its control group a moment before it has ended.
    until("its first process has ended", || !state.init.is_alive());
    assert_eq!(
        ExitRecord::load(&container.directory()).unwrap(),
        None,
        "nobody was there to learn the exit code"
    );
    homeostat_monitor::remove_remains(&container.request).unwrap();
    container.assert_nothing_left();
    container.start().unwrap();
    assert!(RunState::load(&container.directory()).unwrap().init.is_alive());
}

#[test]
fn what_a_killed_monitor_left_does_not_hinder_the_next() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.start().unwrap();
    let mut monitor = container.monitor.take().unwrap();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    container.request.process = process(&["true"]);
    assert_eq!(container.run().0.code, 0);
    container.assert_nothing_left();
}

#[test]
fn a_failed_start_leaves_nothing() {
    let mut container = Container::new(process(&["true"]));
    container.request.rootfs.lower = vec![container.files.path().join("no-such-layer")];
    assert_eq!(container.start().unwrap_err().kind, FailureKind::Runtime);
    assert_eq!(container.wait().code, 125);
    container.assert_nothing_left();
    container.request.rootfs.lower = vec![container.files.layer()];
    assert_eq!(container.run().0.code, 0);
}

#[test]
fn a_port_in_use_is_said_and_one_that_is_held_is_held() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |number| PublishedPort {
        host_ip: Some([127, 0, 0, 1].into()),
        host_port: number,
        host_port_last: None,
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    let number = taken.local_addr().unwrap().port();
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.request.ports = vec![port(number)];
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::PortInUse);
    assert!(failure.message.contains(&number.to_string()), "{failure}");
    container.wait();
    drop(taken);
    container.start().unwrap();
    assert!(TcpListener::bind(("127.0.0.1", number)).is_err());
    let mut monitor = container.monitor.take().unwrap();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    until("the port is free", || TcpListener::bind(("127.0.0.1", number)).is_ok());
}

#[test]
fn the_limits_of_the_log_can_be_changed() {
    let mut container = Container::new(shell(
        "trap : HUP; while :; do [ -e /root/go ] && read line < /root/go && echo $line; sleep 0.002; done",
    ));
    let state = container.start().unwrap();
    let rotation = LogRotation { max_size: 200, max_files: 2 };
    save_rotation(&container.directory(), &rotation).unwrap();
    assert!(state.monitor.signal(Signal::SIGHUP).unwrap());
    // Through the container's own view: what changes beneath an overlay may stay unseen.
    fs::write(format!("/proc/{}/root/root/go", state.init.pid), "line\n").unwrap();
    let log = container.request.log.directory.clone();
    let size = |name: String| fs::metadata(log.join(name)).map_or(0, |metadata| metadata.len());
    // The first that is rotated may have had more lines before the monitor heard of the limit.
    until("the log is rotated at its new limit", || (1..=200).contains(&size(format!("{CURRENT}.1"))));
    assert!(!log.join(format!("{CURRENT}.2")).exists());
}

#[test]
fn a_full_disk_loses_lines_but_neither_container_nor_monitor() {
    let mut container = Container::new(shell(
        "i=0; while [ $i -lt 3000 ]; do echo a line of some length $i; i=$((i+1)); done; echo end; sleep 1000; true",
    ));
    let log = container.files.path().join("small");
    fs::create_dir(&log).unwrap();
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    nix::mount::mount(Some("tmpfs"), &log, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=64k"))
        .unwrap();
    container.request.log.directory = log.clone();
    let state = container.start().unwrap();
    until("all was written", || container.cgroup().processes().unwrap().len() == 2);
    assert!(state.init.is_alive() && state.monitor.is_alive());
    // Room again: what is written from now on is there, and the log says that something is missing.
    nix::mount::mount(none, &log, none, nix::mount::MsFlags::MS_REMOUNT, Some("size=4m")).unwrap();
    container.exec(shell("echo later > /proc/1/fd/1"));
    container.wait_for_line("later");
    let errors = container.output(LogStream::Stderr);
    assert!(errors.contains("lines of this log were lost: "), "{errors}");
    state.init.signal(Signal::SIGKILL).unwrap();
    container.wait();
    nix::mount::umount(&log).unwrap();
}

#[test]
fn the_mounts_of_the_container_are_not_the_hosts() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.start().unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(container.files.path().to_str().unwrap()), "{mounts}");
}
