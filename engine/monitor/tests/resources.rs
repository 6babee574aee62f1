//! Limits, and what is measured.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use fs_err as fs;
use homeostat_monitor::cgroup::Version;
use homeostat_spec::Resources;
use support::{Container, process, shell, until};

const MIB: u64 = 1 << 20;

fn limited() -> Resources {
    Resources { memory: Some(32 * MIB), cpu_millis: Some(250), pids: Some(20) }
}

/// The value of a kernel file of a container, by its names in both versions.
fn value(container: &Container, controller: &str, v1: &str, v2: &str) -> String {
    let path = match container.cgroup().version() {
        Version::V1 => format!("/sys/fs/cgroup/{controller}/{}/{v1}", container.request.cgroup.display()),
        Version::V2 => format!("/sys/fs/cgroup/{}/{v2}", container.request.cgroup.display()),
    };
    fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn limits_are_applied_and_can_be_changed_and_lifted() {
    let mut container = Container::new(process(&["sleep", "1000"]));
    container.request.resources = limited();
    container.start().unwrap();
    let memory = |container: &Container| value(container, "memory", "memory.limit_in_bytes", "memory.max");
    let pids = |container: &Container| value(container, "pids", "pids.max", "pids.max");
    assert_eq!(memory(&container), (32 * MIB).to_string());
    assert_eq!(pids(&container), "20");
    assert!(value(&container, "cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("25000"));
    assert_eq!(container.cgroup().usage().unwrap().memory_limit, Some(32 * MIB));

    if container.cgroup().version() == Version::V2 {
        assert_eq!(value(&container, "memory", "", "memory.swap.max"), "0", "the limit is one with swap");
    }

    for memory_limit in [64 * MIB, 16 * MIB, 128 * MIB] {
        let resources = Resources { memory: Some(memory_limit), cpu_millis: Some(1500), pids: Some(10) };
        container.cgroup().update(&resources).unwrap();
        assert_eq!(memory(&container), memory_limit.to_string());
        assert_eq!(pids(&container), "10");
        assert!(value(&container, "cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("150000"));
    }
    container.cgroup().update(&Resources::default()).unwrap();
    assert_eq!(container.cgroup().usage().unwrap().memory_limit, None);
    assert_eq!(pids(&container), "max");
}

#[test]
fn out_of_memory_is_recorded() {
    let mut container = Container::new(shell("x=$(head -c 100m /dev/zero | tr '\\0' x); echo ${#x}"));
    container.request.resources.memory = Some(16 * MIB);
    let (record, output) = container.run();
    assert!(record.oom_killed, "{record:?} {output}");
    assert_ne!(record.code, 0);
    container.assert_nothing_left();
}

#[test]
fn the_number_of_processes_is_limited() {
    let mut container =
        Container::new(shell("i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done; echo all"));
    container.request.resources.pids = Some(10);
    assert!(!container.run().1.contains("all"));
    container.assert_nothing_left();
}

#[test]
fn a_paused_container_stands_still_until_resumed() {
    let mut container = Container::new(shell("i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done"));
    let state = container.start().unwrap();
    container.wait_for_line("3");
    let cgroup = container.cgroup();
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let cpu = cgroup.usage().unwrap().cpu;
    let exec = container.exec(process(&["true"]));
    assert!(String::from_utf8(exec.stderr).unwrap().contains("paused"));
    assert_eq!(cgroup.usage().unwrap().cpu, cpu);
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    let before = container.output(homeostat_log::LogStream::Stdout).lines().count();
    container.wait_for_line(&(before + 5).to_string());
    // A frozen container can be killed.
    cgroup.freeze().unwrap();
    cgroup.kill().unwrap();
    assert_eq!(container.wait().signal, Some(9));
    assert!(!state.init.is_alive());
    container.assert_nothing_left();
}

#[test]
fn use_is_measured() {
    let mut container =
        Container::new(shell("x=$(head -c 2m /dev/zero | tr '\\0' x); echo ready; sleep 1000; true"));
    let state = container.start().unwrap();
    container.wait_for_line("ready");
    let cgroup = container.cgroup();
    let usage = cgroup.usage().unwrap();
    assert!(usage.cpu > std::time::Duration::ZERO);
    assert!(usage.memory_working_set > 0 && usage.memory_working_set <= usage.memory_usage);
    assert_eq!((usage.memory_limit, usage.oom_kills), (None, 0));
    until("two processes are counted", || cgroup.usage().unwrap().pids == 2);
    assert!(cgroup.processes().unwrap().contains(&state.init.pid));
}

#[test]
fn a_program_may_have_1024_files_open_and_raise_that() {
    let mut container = Container::new(shell("ulimit -Sn; ulimit -Hn"));
    let (_, output) = container.run();
    let limits: Vec<u64> = output.lines().filter_map(|line| line.parse().ok()).collect();
    let own = hard_limit();
    assert_eq!(limits, [own.min(1024), own]);
}

/// The hard limit of open files of this process.
fn hard_limit() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(4).unwrap().parse().unwrap()
}
