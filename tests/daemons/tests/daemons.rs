//! A daemon starts, runs containers, obeys, and leaves nothing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use homeostat_daemons::{Daemon, Docker, PASSWORD, Podman, Registry, Release, USER};

/// How long something may take that is done at once on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test in a network namespace of its own, on a directory of its own.
fn on_host(test: impl FnOnce(&Path)) {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    homeostat_network::loopback_up().unwrap();
    let directory = tempfile::tempdir().unwrap();
    test(&directory.path().join("daemon"));
    assert_nothing_is_left(directory.path());
}

/// Docker's own client, which speaks to both.
fn client(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", daemon.socket().display())).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}\n{}", daemon.logs());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Starts a container that sleeps on a network with a published port, and gives its process.
fn run_a_container(daemon: &Daemon, directory: &Path) -> String {
    let root = directory.join("root");
    fs_err::create_dir_all(root.join("bin")).unwrap();
    fs_err::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let archive = directory.join("root.tar");
    assert!(
        Command::new("tar")
            .arg("-cf")
            .arg(&archive)
            .arg("-C")
            .arg(&root)
            .arg(".")
            .status()
            .unwrap()
            .success()
    );
    client(daemon, &["import", archive.to_str().unwrap(), "localhost/base:1"]);
    client(daemon, &["network", "create", "front"]);
    let options =
        ["run", "--detach", "--name=one", "--network=front", "--publish=8080:80", "--stop-timeout=0"];
    client(daemon, &[&options[..], &["localhost/base:1", "/bin/busybox", "sleep", "1000"]].concat());
    process_of(daemon)
}

fn process_of(daemon: &Daemon) -> String {
    client(daemon, &["inspect", "--format={{.State.Pid}}", "one"])
}

fn version_of(daemon: &Daemon) -> String {
    client(daemon, &["version", "--format={{.Server.Version}}"])
}

/// Whether it is there and has not ended; whoever inherited it may take a moment to notice.
fn is_alive(process: &str) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn processes_with(text: &str) -> Vec<String> {
    let paths = fs_err::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let lines = paths.filter_map(|path| fs_err::read(path.join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

/// What mentions a directory: processes and mounts; and control groups and links of daemons of this test.
fn assert_nothing_is_left(directory: &Path) {
    let text = directory.to_str().unwrap();
    let left = processes_with(text);
    assert!(left.is_empty(), "processes are left: {left:#?}");
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(text), "mounts are left: {mounts}");
    let group = format!("homeostat-test-{}-", std::process::id());
    let groups =
        Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", "2", "-name"]).arg(group + "*").output();
    assert_eq!(String::from_utf8(groups.unwrap().stdout).unwrap(), "", "control groups are left");
    let files: Vec<_> = fs_err::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "files are left: {files:?}");
}

#[test]
fn docker_runs_containers_and_leaves_nothing() {
    on_host(|directory| {
        let docker = Docker::start(directory);
        let process = run_a_container(&docker, directory);
        assert!(is_alive(&process));
        drop(docker);
        assert!(!is_alive(&process));
    });
}

#[test]
fn podman_runs_containers_and_leaves_nothing() {
    on_host(|directory| {
        let podman = Podman::start(directory);
        let process = run_a_container(&podman, directory);
        assert!(is_alive(&process));
        drop(podman);
        assert!(!is_alive(&process));
    });
}

#[test]
fn docker_of_debian_13_runs_containers_and_leaves_nothing() {
    let Some(release) = Release::trixie() else { return };
    on_host(|directory| {
        let docker = Docker::start_of(&release, directory);
        assert!(version_of(&docker).starts_with("26."));
        let process = run_a_container(&docker, directory);
        assert!(is_alive(&process));
        drop(docker);
        assert!(!is_alive(&process));
    });
}

#[test]
fn podman_of_debian_13_runs_containers_and_leaves_nothing() {
    let Some(release) = Release::trixie() else { return };
    on_host(|directory| {
        let podman = Podman::start_of(&release, directory);
        assert!(version_of(&podman).starts_with("5."));
        let process = run_a_container(&podman, directory);
        assert!(is_alive(&process));
        drop(podman);
        assert!(!is_alive(&process));
    });
}

#[test]
fn what_was_sent_to_a_podman_goes_with_it() {
    let sent = || {
        // Podman's own choice, unless it is told another.
        let files = fs_err::read_dir("/var/tmp").unwrap().map(|file| file.unwrap().file_name());
        files.filter(|name| name.to_string_lossy().starts_with("api_load")).collect::<BTreeSet<_>>()
    };
    let before = sent();
    on_host(|directory| {
        let podman = Podman::start(directory);
        run_a_container(&podman, directory);
    });
    assert_eq!(sent().difference(&before).count(), 0);
}

#[test]
fn a_paused_container_leaves_nothing() {
    on_host(|directory| {
        let docker = Docker::start(directory);
        let process = run_a_container(&docker, directory);
        client(&docker, &["pause", "one"]);
        drop(docker);
        assert!(!is_alive(&process));
    });
}

#[test]
fn containers_end_with_their_docker_unless_they_are_to_be_kept() {
    on_host(|directory| {
        let mut docker = Docker::start(directory);
        let process = run_a_container(&docker, directory);
        docker.restart();
        assert!(!is_alive(&process));
        drop(docker);

        let mut docker = Docker::start_with_live_restore(&Release::Host, directory);
        let process = run_a_container(&docker, directory);
        for end in [Daemon::stop, Daemon::kill] {
            end(&mut docker);
            assert!(is_alive(&process));
            docker.start();
            assert_eq!(process_of(&docker), process);
        }
        assert_eq!(client(&docker, &["exec", "one", "/bin/busybox", "echo", "there"]), "there");
    });
}

#[test]
fn containers_outlive_podmans_service() {
    on_host(|directory| {
        let mut podman = Podman::start(directory);
        let process = run_a_container(&podman, directory);
        for end in [Daemon::stop, Daemon::kill] {
            end(&mut podman);
            podman.start();
            assert_eq!(process_of(&podman), process);
        }
        assert!(is_alive(&process));
    });
}

#[test]
fn a_frozen_daemon_answers_once_it_is_thawed() {
    on_host(|directory| {
        let docker = Docker::start(directory);
        docker.freeze();
        let mut asks = Command::new("docker")
            .arg(format!("--host=unix://{}", docker.socket().display()))
            .args(["version"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Not a wait for something: the time in which it must not answer.
        std::thread::sleep(Duration::from_millis(200));
        assert!(asks.try_wait().unwrap().is_none());
        docker.thaw();
        assert!(asks.wait().unwrap().success());
    });
}

/// What is done in the process of the test below.
const KILLED: &str = "HOMEOSTAT_TEST_KILLED_IN";
/// Set if it is to be done with Debian 13's.
const NEWER: &str = "HOMEOSTAT_TEST_KILLED_OF_DEBIAN_13";

/// Run by [`a_test_that_is_killed_leaves_nothing`] in another process, which waits to be killed.
#[test]
fn waits_to_be_killed_when_asked_to() {
    let Some(directory) = std::env::var_os(KILLED) else { return };
    let directory = Path::new(&directory);
    let newer = std::env::var_os(NEWER).map(|_| Release::trixie().unwrap());
    let docker = Docker::start_of(&newer.unwrap_or(Release::Host), &directory.join("daemon"));
    run_a_container(&docker, &directory.join("daemon"));
    fs_err::write(directory.join("ready"), "").unwrap();
    std::thread::sleep(Duration::from_hours(1));
}

#[test]
fn a_test_that_is_killed_leaves_nothing() {
    assert_a_killed_test_leaves_nothing(&[]);
}

#[test]
fn a_test_that_is_killed_leaves_nothing_of_debian_13() {
    if Release::trixie().is_some() {
        assert_a_killed_test_leaves_nothing(&[(NEWER, "1")]);
    }
}

fn assert_a_killed_test_leaves_nothing(variables: &[(&str, &str)]) {
    on_host(|directory| {
        let directory = directory.parent().unwrap();
        let mut test = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "waits_to_be_killed_when_asked_to"])
            .env(KILLED, directory)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let wait_for = |what: &str, condition: &dyn Fn() -> bool| {
            let deadline = Instant::now() + PATIENCE;
            while !condition() {
                assert!(Instant::now() < deadline, "{what}");
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let ready = directory.join("ready");
        wait_for("its container runs", &|| ready.exists());
        test.kill().unwrap();
        test.wait().unwrap();
        fs_err::remove_file(ready).unwrap();
        wait_for("nothing is left", &|| processes_with(directory.to_str().unwrap()).is_empty());
    });
}

/// Docker's own client pulls from a registry; then what is in `/version`.
fn pulled_version(daemon: &Daemon, reference: &str) -> String {
    client(daemon, &["pull", "--quiet", reference]);
    client(daemon, &["run", "--rm", "--network=none", reference, "cat", "/version"])
}

#[test]
fn a_registry_gives_what_was_pushed_to_it_and_leaves_nothing() {
    on_host(|directory| {
        let docker = Docker::start(directory);
        let mut registry = Registry::start(&directory.with_file_name("registry"));
        let reference = format!("{}/team/app:1", registry.address());
        let first = registry.push("team/app", "1", "first");
        assert_eq!(pulled_version(&docker, &reference), "first");
        let second = registry.push("team/app", "1", "second");
        assert_eq!(pulled_version(&docker, &reference), "second");
        let by_digest = format!("{}/team/app@{first}", registry.address());
        assert_eq!(pulled_version(&docker, &by_digest), "first");
        assert_ne!(first, second);
        registry.stop();
    });
}

#[test]
fn a_registry_with_a_password_asks_for_it() {
    on_host(|directory| {
        let registry = Registry::start_with_password(directory);
        let url = format!("http://{}/v2/", registry.address());
        assert_eq!(status(&[&url]), "401");
        assert_eq!(status(&["--user", &format!("{USER}:wrong"), &url]), "401");
        assert_eq!(status(&["--user", &format!("{USER}:{PASSWORD}"), &url]), "200");
    });
}

#[test]
fn a_registry_with_tls_has_a_certificate_of_its_own_authority() {
    on_host(|directory| {
        let registry = Registry::start_with_tls(directory);
        let url = format!("https://{}/v2/", registry.address());
        assert_eq!(status(&["--cacert", registry.authority().to_str().unwrap(), &url]), "200");
        assert_eq!(status(&[&url]), "000", "nobody else vouches for it");
    });
}

/// The status that a server answers with.
fn status(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    String::from_utf8(command.args(arguments).output().unwrap().stdout).unwrap()
}
