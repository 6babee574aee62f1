//! Steps of a build.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use fs_err as fs;
use homeostat_monitor::cgroup::Cgroup;
use homeostat_monitor::{Dns, Mount, MountSource, Process, StepNetwork, StepRequest};
use support::{Files, feed, monitor, process, shell, until};

struct Step {
    files: Files,
    request: StepRequest,
}

impl Step {
    fn new(process: Process) -> Self {
        let files = Files::new();
        let name = files.path().file_name().unwrap().to_str().unwrap();
        let id = format!("step{}", name.trim_start_matches('.'));
        let request = StepRequest {
            parent: std::process::id(),
            rootfs: files.layer(),
            process,
            mounts: Vec::new(),
            secrets: std::collections::BTreeMap::new(),
            network: StepNetwork::None,
            dns: Dns { servers: vec![[10, 9, 8, 7].into()], ..Dns::default() },
            cgroup: PathBuf::from(format!("homeostat-{id}")),
            runtime_dir: files.path().join("runtime"),
            id,
        };
        Self { files, request }
    }

    fn run(&self) -> Output {
        let output = feed(monitor().arg("step"), &serde_json::to_vec(&self.request).unwrap());
        assert!(!Cgroup::at(&self.request.cgroup).unwrap().exists(), "a cgroup is left");
        let names = fs::read_dir(&self.request.runtime_dir).unwrap().map(|entry| entry.unwrap().file_name());
        // Filters of system calls are kept for the next step.
        let left: Vec<_> = names.filter(|name| !name.to_str().unwrap().starts_with("seccomp-")).collect();
        assert!(left.is_empty(), "state is left: {left:?}");
        output
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut ahead = vec![self.files.layer()];
        while let Some(directory) = ahead.pop() {
            let entries = match fs::read_dir(directory) {
                // It was taken away meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.unwrap(),
            };
            for entry in entries {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    ahead.push(entry.path());
                }
                names.push(
                    entry.path().strip_prefix(self.files.layer()).unwrap().to_str().unwrap().to_owned(),
                );
            }
        }
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn leaves_what_it_made_and_no_stub() {
    let step = Step::new(shell("cat /etc/resolv.conf; echo made > /made; mkdir -p /srv; exit 3"));
    let before = step.names();
    let output = step.run();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "nameserver 10.9.8.7\n".into()));
    let new: Vec<_> = step.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(new, ["made", "srv"]);
}

#[test]
fn leaves_files_of_the_image_as_they_were() {
    let step = Step::new(shell("echo changed >> /etc/hosts; cat /etc/hosts | grep -c changed"));
    fs::write(step.files.layer().join("etc/hosts"), "original\n").unwrap();
    for directory in ["dev", "proc", "sys"] {
        fs::create_dir(step.files.layer().join(directory)).unwrap();
    }
    let before = step.names();
    assert_eq!(text(&step.run().stdout), "1\n");
    assert_eq!(step.names(), before);
    assert_eq!(fs::read_to_string(step.files.layer().join("etc/hosts")).unwrap(), "original\n");
}

#[test]
fn is_confined_like_a_container() {
    let step = Step::new(shell(
        "grep -E '^(CapEff|Seccomp:)' /proc/self/status | tr -d '\\t'; ls /proc/$$/fd; ls /sys/class/net",
    ));
    let caps = support::default_capabilities();
    assert_eq!(text(&step.run().stdout), format!("CapEff:{caps}\nSeccomp:2\n0\n1\n2\nlo\n"));
}

#[test]
fn sees_the_network_of_the_host_if_it_may() {
    let mut step = Step::new(shell("readlink /proc/self/ns/net"));
    step.request.network = StepNetwork::Host;
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(text(&step.run().stdout).trim(), own.to_str().unwrap());
}

#[test]
fn mounts_are_seen_and_their_places_go() {
    let mut step = Step::new(shell("cat /cache/deep/x; echo y > /cache/deep/y; echo z > /scratch/z"));
    let cache = step.files.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("x"), "cached\n").unwrap();
    step.request.mounts = vec![
        Mount { source: MountSource::Path(cache.clone()), target: "/cache/deep".into(), read_only: false },
        Mount { source: MountSource::Tmpfs, target: "/scratch".into(), read_only: false },
    ];
    let before = step.names();
    assert_eq!(text(&step.run().stdout), "cached\n");
    assert_eq!(step.names(), before);
    assert!(cache.join("y").exists());
}

#[test]
fn a_command_that_is_not_there_is_said() {
    let step = Step::new(process(&["no-such-command"]));
    let before = step.names();
    let output = step.run();
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).contains("no-such-command"));
    assert_eq!(step.names(), before);
}

#[test]
fn links_in_the_root_lead_nowhere_outside() {
    let mut step = Step::new(shell("echo ran"));
    let victim = step.files.path().join("victim");
    fs::create_dir(&victim).unwrap();
    let etc = step.files.layer().join("etc");
    fs::remove_dir_all(&etc).unwrap();
    symlink(&victim, &etc).unwrap();
    step.request.process.cwd = Some("/etc/new".into());
    step.run();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
}

#[test]
fn ends_with_its_caller_and_cleans_up() {
    let mut step = Step::new(shell("echo started > /started; sleep 1000; true"));
    step.request.parent = 0;
    let before = step.names();
    let json = serde_json::to_string(&step.request).unwrap().replace("\"parent\":0", "\"parent\":PARENT");
    let mut caller = std::process::Command::new("sh")
        .args(["-c", "sed s/PARENT/$$/ | \"$0\" step; exit 0"])
        .arg(monitor().get_program())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    caller.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
    until("the step runs", || step.files.layer().join("started").exists());
    caller.kill().unwrap();
    caller.wait().unwrap();
    until("its cgroup is gone", || !Cgroup::at(&step.request.cgroup).unwrap().exists());
    until("its stubs are gone", || step.names().len() == before.len() + 1);
}
