//! What a program in a container finds, and what is known of its end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use homeostat_log::LogStream;
use homeostat_monitor::{ExitRecord, FailureKind, Mount, MountSource, RunState};
use nix::sys::signal::Signal;
use support::{Container, process, shell};

use fs_err as fs;

#[test]
fn an_exit_code_is_recorded_and_nothing_is_left() {
    let mut container = Container::new(shell("echo out; echo err >&2; exit 7"));
    let (record, output) = container.run();
    assert_eq!((record.code, record.signal, record.oom_killed, record.error), (7, None, false, None));
    assert!(record.started_at.unwrap() <= record.finished_at);
    assert_eq!(output, "out\n");
    assert_eq!(container.output(LogStream::Stderr), "err\n");
    container.assert_nothing_left();
}

#[test]
fn a_signal_is_recorded() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    let state = container.start().unwrap();
    assert_eq!(RunState::load(&container.directory()).as_ref(), Some(&state));
    assert!(state.monitor.is_alive() && state.init.is_alive());
    assert!(state.init.signal(Signal::SIGKILL).unwrap());
    let record = container.wait();
    assert_eq!((record.code, record.signal), (128 + 9, Some(9)));
    assert!(!state.init.is_alive());
    container.assert_nothing_left();
}

#[test]
fn a_program_may_catch_signals_though_the_monitor_holds_them_back() {
    let mut container =
        Container::new(shell("trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done"));
    let state = container.start().unwrap();
    container.wait_for_line("ready");
    assert!(state.init.signal(Signal::SIGTERM).unwrap());
    assert_eq!(container.wait().code, 3);
    assert!(container.output(LogStream::Stdout).contains("caught"));
}

#[test]
fn the_monitor_outlives_a_request_to_end() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    let state = container.start().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        assert!(state.monitor.signal(signal).unwrap());
    }
    // A later exec shows that the monitor's container still runs.
    assert!(container.exec(process(&["true"])).status.success());
    assert!(state.monitor.is_alive() && state.init.is_alive());
}

#[test]
fn env_cwd_and_user_are_those_asked_for() {
    let mut container =
        Container::new(shell("pwd; id -u; id -g; id -G; echo $HOME $GREETING $PATH $HOSTNAME; hostname"));
    container.request.process.env.insert("GREETING".into(), "hello world".into());
    container.request.process.cwd = Some("/srv/app".into());
    container.request.process.user = Some("web".into());
    container.request.process.additional_gids = vec![77];
    let (record, output) = container.run();
    assert_eq!(record.code, 0);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(output, format!("/srv/app\n33\n34\n34 50 77\n/srv hello world {path} box\nbox\n"));
}

#[test]
fn the_environment_of_the_agent_is_not_passed_on() {
    let mut container = Container::new(shell("env | sort"));
    let (_, output) = container.run();
    let names: Vec<_> = output.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL"], "{output}");
}

#[test]
fn an_unknown_user_is_said() {
    let mut container = Container::new(process(&["true"]));
    container.request.process.user = Some("ghost".into());
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::UnknownUser);
    let record = container.wait();
    assert_eq!((record.code, record.error, record.started_at), (125, Some(failure), None));
    container.assert_nothing_left();
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let mut container = Container::new(process(&["no-such-command"]));
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::CommandNotFound, "{failure:?}");
    assert_eq!(container.wait().code, 127);
    container.assert_nothing_left();

    container.request.process = process(&["/etc/passwd"]);
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::CommandNotExecutable, "{failure:?}");
    assert_eq!(container.wait().code, 126);

    let script = container.files.layer().join("bin/script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    container.request.process = process(&["script"]);
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::CommandNotFound, "{failure:?}");
    assert!(failure.hint.unwrap().contains("interpreter"));
    assert_eq!(container.wait().code, 127);

    fs::write(&script, "no program\n").unwrap();
    let failure = container.start().unwrap_err();
    assert_eq!(failure.kind, FailureKind::CommandNotExecutable, "{failure:?}");
    container.wait();
    container.assert_nothing_left();
}

#[test]
fn a_container_can_be_started_again_and_keeps_what_it_wrote() {
    let mut container = Container::new(shell("echo x >> /root/count; wc -l < /root/count"));
    assert_eq!(container.run().1, "1\n");
    assert_eq!(container.run().1, "1\n2\n");
}

#[test]
fn a_second_monitor_for_the_same_container_is_refused() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    let state = container.start().unwrap();
    let first = container.monitor.take();
    let refused = container.start().unwrap_err();
    assert!(refused.message.contains("runs already"), "{refused}");
    container.monitor.take().unwrap().wait().unwrap();
    assert!(state.init.is_alive(), "the first goes on");
    assert_eq!(ExitRecord::load(&container.directory()).unwrap(), None);
    assert_eq!(RunState::load(&container.directory()), Some(state));
    container.monitor = first;
}

#[test]
fn a_read_only_root_cannot_be_written_but_tmpfs_and_volumes_can() {
    let mut container = Container::new(shell(
        "echo x > /root/x || echo refused; echo x > /scratch/x && echo x > /data/x && echo written; echo x > /fixed/x || echo refused",
    ));
    let volume = container.files.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let mount = |source, target: &str, read_only| Mount { source, target: target.into(), read_only };
    container.request.rootfs.read_only = true;
    container.request.mounts = vec![
        mount(MountSource::Tmpfs, "/scratch", false),
        mount(MountSource::Path(volume.clone()), "/data", false),
        mount(MountSource::Path(volume.clone()), "/fixed", true),
    ];
    let (record, output) = container.run();
    assert_eq!((record.code, output.as_str()), (0, "refused\nwritten\nrefused\n"));
    assert_eq!(fs::read_to_string(volume.join("x")).unwrap(), "x\n");
}

#[test]
fn a_read_only_mount_is_so_with_what_is_mounted_below() {
    let mut container =
        Container::new(shell("echo x > /fixed/x || echo refused; echo x > /fixed/below/x || echo refused"));
    let volume = container.files.path().join("volume");
    let below = volume.join("below");
    fs::create_dir_all(&below).unwrap();
    // In a namespace of this test's thread, which the monitor inherits.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(none, "/", none, private, none).unwrap();
    nix::mount::mount(Some("tmpfs"), &below, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
    container.request.mounts =
        vec![Mount { source: MountSource::Path(volume), target: "/fixed".into(), read_only: true }];
    let (_, output) = container.run();
    assert_eq!(output, "refused\nrefused\n");
    nix::mount::umount(&below).unwrap();
}

#[test]
fn files_can_be_mounted_and_nested_mounts_come_in_order() {
    let mut container = Container::new(shell("cat /data/conf/file; cat /etc/hosts"));
    let volume = container.files.path().join("volume");
    fs::create_dir(&volume).unwrap();
    let file = container.files.path().join("file");
    fs::write(&file, "content\n").unwrap();
    let mount = |source, target: &str| Mount { source, target: target.into(), read_only: true };
    container.request.mounts = vec![
        mount(MountSource::Path(file.clone()), "/data/conf/file"),
        mount(MountSource::Path(file), "/etc/hosts"),
        Mount { source: MountSource::Path(volume), target: "/data".into(), read_only: false },
    ];
    assert_eq!(container.run().1, "content\ncontent\n");
}

#[test]
fn a_mount_of_what_is_not_there_is_refused() {
    let mut container = Container::new(process(&["true"]));
    let source = MountSource::Path("/no/such/path".into());
    container.request.mounts = vec![Mount { source, target: "/data".into(), read_only: false }];
    assert_eq!(container.start().unwrap_err().kind, FailureKind::InvalidRequest);
    container.wait();
}

#[test]
fn names_are_those_of_the_container() {
    let mut container = Container::new(shell("cat /etc/resolv.conf; grep box /etc/hosts; cat /etc/hostname"));
    container.request.dns.servers = vec![[10, 9, 8, 7].into()];
    container.request.dns.hosts = vec![([10, 9, 8, 6].into(), "mybox".into())];
    let (_, output) = container.run();
    assert_eq!(output, "nameserver 10.9.8.7\n127.0.1.1\tbox\n10.9.8.6\tmybox\nbox\n");
}

#[test]
fn output_that_is_not_read_at_once_is_not_lost() {
    let mut container =
        Container::new(shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"));
    container.request.log.rotation.max_size = 10 << 20;
    let (_, output) = container.run();
    assert_eq!(output.lines().count(), 20_000);
    assert_eq!(output.lines().last(), Some("line 19999"));
}

#[test]
fn a_damaged_request_is_refused() {
    let mut container = Container::new(process(&["true"]));
    container.request.id = "../escape".into();
    assert_eq!(container.start().unwrap_err().kind, FailureKind::InvalidRequest);
    assert_eq!(container.wait().code, 125);
    let record = ExitRecord::load(&container.directory()).unwrap().unwrap();
    assert!(record.error.unwrap().message.contains("no id"));
}

#[test]
fn an_inherited_umask_and_environment_do_not_reach_the_container() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let mut container = Container::new(shell("umask; cat /etc/hosts > /dev/null && ls -ld / | cut -c1-10"));
    container.request.process.user = Some("web".into());
    for path in [container.files.path().to_owned(), container.files.layer()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    for name in ["bin", "etc"] {
        let path = container.files.layer().join(name);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    assert_eq!(container.run().1, "0022\ndrwxr-xr-x\n");
    let secret = fs::metadata(container.directory().join("config.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&secret.permissions()) & 0o777, 0o600);
}
