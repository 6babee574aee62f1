//! What a process in a container sees, beside what it would see of runc with the same bundle: never more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::StreamExt as _;
use homeostat_conformance::{World, config, create, log_lines, shell, wait_exited};
use homeostat_embedded::Embedded;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::Engine;
use homeostat_spec::{ContainerConfig, Mount, MountSource, Profile, Ulimit};
use serde_json::{Value, json};

use crate::host::{Host, on_host, remove_everything};

/// Tells what a process sees, each kind of thing under a heading.
const PROBE: &str = "echo = status; cat /proc/self/status; echo = limits; cat /proc/self/limits; \
    echo = mounts; cat /proc/self/mountinfo; echo = devices; ls -l /dev; echo = namespaces; \
    for name in /proc/self/ns/*; do echo ${name##*/} $(readlink $name); done";

/// Docker's default capabilities.
const GRANTED: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Lines of a kind of thing that a process sees.
type Seen = BTreeMap<String, Vec<String>>;

fn seen(lines: &[String]) -> Seen {
    let mut seen = Seen::new();
    let mut heading = String::new();
    for line in lines {
        match line.strip_prefix("= ") {
            Some(text) => text.clone_into(&mut heading),
            None => seen.entry(heading.clone()).or_default().push(line.clone()),
        }
    }
    seen
}

/// The value of a field of `/proc/self/status`.
fn field<'a>(seen: &'a Seen, name: &str) -> &'a str {
    let value = seen["status"].iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {seen:?}")).trim()
}

/// Where something is mounted, with its kind and the options that take something away.
fn mounts(seen: &Seen) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let restricting = |option: &&str| ["ro", "nosuid", "nodev", "noexec"].contains(option);
    let mount = |line: &String| {
        let (mount, source) = line.split_once(" - ")?;
        let words: Vec<&str> = mount.split(' ').collect();
        let options = words.get(5)?.split(',').filter(restricting).map(str::to_owned).collect();
        Some(((*words.get(4)?).to_owned(), (source.split(' ').next()?.to_owned(), options)))
    };
    seen["mounts"].iter().filter_map(mount).collect()
}

/// Limits, without that of open files: runc 1.1 has its own raised by Go's runtime, at times also for the program.
fn limits(seen: &Seen) -> Vec<&String> {
    seen["limits"].iter().filter(|line| !line.starts_with("Max open files")).collect()
}

/// Names of devices.
fn devices(seen: &Seen) -> BTreeSet<String> {
    let is_device = |line: &&String| line.starts_with('c') || line.starts_with('b');
    let devices = seen["devices"].iter().filter(is_device);
    devices.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

/// The namespaces that are not those of the host.
fn namespaces(seen: &Seen) -> BTreeSet<String> {
    let own = seen["namespaces"].iter().filter_map(|line| line.split_once(' '));
    let is_own = |(name, number): &(&str, &str)| {
        let host = fs_err::read_link(format!("/proc/self/ns/{name}")).unwrap();
        host.to_str() != Some(*number)
    };
    own.filter(is_own).map(|(name, _)| name.to_owned()).collect()
}

/// Holds what is seen in a container of the engine to what is seen under runc.
fn compare(what: &str, ours: &Seen, runcs: &Seen) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let [ours, runcs] = [ours, runcs].map(|seen| u64::from_str_radix(field(seen, name), 16).unwrap());
        assert_eq!(ours & !runcs, 0, "{what}: {name} is {ours:016x}, under runc {runcs:016x}");
    }
    assert!(field(ours, "NoNewPrivs") >= field(runcs, "NoNewPrivs"), "{what}");
    assert_eq!(field(ours, "Seccomp"), "2", "{what}: system calls are filtered");
    for name in ["Uid", "Gid", "Groups"] {
        assert_eq!(field(ours, name), field(runcs, name), "{what}: {name}");
    }
    assert_eq!(limits(ours), limits(runcs), "{what}");
    assert!(devices(ours).is_subset(&devices(runcs)), "{what}: {:?} {:?}", devices(ours), devices(runcs));
    assert!(namespaces(ours).is_superset(&namespaces(runcs)), "{what}: {ours:?}");
    let (ours, runcs) = (mounts(ours), mounts(runcs));
    for (target, (kind, options)) in &runcs {
        let (our_kind, our_options) = ours
            .get(target)
            .unwrap_or_else(|| panic!("{what}: nothing hides {target}, as {kind} does under runc"));
        // The root is an overlay here, and a directory there.
        assert!(target == "/" || kind == our_kind, "{what}: {target} is {our_kind}, under runc {kind}");
        assert!(
            our_options.is_superset(options),
            "{what}: {target} has {our_options:?}, under runc {options:?}"
        );
    }
    let more: Vec<_> = ours.keys().filter(|target| !runcs.contains_key(*target)).collect();
    assert!(more.is_empty(), "{what}: only here is something mounted at {more:?}");
}

/// The bundle that the engine has made of a container.
fn bundle(directory: &Path) -> Option<PathBuf> {
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(&directory).ok()?.flatten() {
            if entry.file_name() == "config.json" && directory.join("request.json").exists() {
                return Some(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
        }
    }
    None
}

/// The files of a container as a directory.
async fn files(engine: &Embedded, container: &ResourceKey, directory: &Path) -> PathBuf {
    let mut archive = engine.export_container(container).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = archive.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let (file, root) = (directory.join("files.tar"), directory.join("rootfs"));
    fs_err::write(&file, bytes).unwrap();
    fs_err::create_dir(&root).unwrap();
    let unpacked = Command::new("tar").arg("-xpf").arg(&file).arg("-C").arg(&root).status().unwrap();
    assert!(unpacked.success());
    root
}

/// What runc shows to the program of a bundle of the engine.
async fn under_runc(
    host: &Host,
    engine: &Embedded,
    container: &ResourceKey,
    config: &ContainerConfig,
) -> Seen {
    let found = bundle(&host.data()).or_else(|| bundle(&host.run_directory())).unwrap();
    let mut spec: Value = serde_json::from_slice(&fs_err::read(found).unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    spec["root"]["path"] = files(engine, container, directory.path()).await.to_str().unwrap().into();
    // The bundle has more, which the monitor takes away itself, as it adds the filter of system calls itself.
    let granted = capabilities(config);
    spec["process"]["capabilities"] =
        json!({ "bounding": granted, "effective": granted, "permitted": granted });
    let id = format!("homeostat-differential-{}", std::process::id());
    spec["linux"]["cgroupsPath"] = format!("/{id}").into();
    // The monitor has it made already.
    spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "network" }));
    fs_err::write(directory.path().join("config.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
    let run = Command::new("runc")
        .arg("--root")
        .arg(directory.path().join("state"))
        .args(["run", "--bundle"])
        .arg(directory.path())
        .arg(&id)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines: Vec<String> = String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect();
    seen(&lines)
}

/// What Docker would grant.
fn capabilities(config: &ContainerConfig) -> Vec<String> {
    if config.cap_drop == ["ALL"] {
        return config.cap_add.clone();
    }
    let granted = GRANTED.iter().map(|name| format!("CAP_{name}"));
    granted.chain(config.cap_add.iter().cloned()).collect()
}

async fn hold(host: &Host, engine: &Embedded, world: &World, what: &str, config: ContainerConfig) {
    // Logs outlive containers of the same name.
    let key = create(engine, world, &what.replace(' ', "-"), config.clone()).await;
    engine.start_container(&key).await.unwrap();
    wait_exited(engine, &key).await;
    let ours = seen(&log_lines(engine, &key).await);
    compare(what, &ours, &under_runc(host, engine, &key, &config).await);
    engine.remove_container(&key).await.unwrap();
}

#[test]
fn a_process_sees_no_more_than_under_runc() {
    on_host(async |host| {
        let engine = host.open().await;
        let world = host.prepare(&engine).await;
        let plain = ContainerConfig { network: config().network, ..shell(PROBE) };
        let memory = Mount { source: MountSource::Tmpfs, target: "/cache".to_owned(), read_only: false };
        let mut limited = plain.clone();
        let limit = Ulimit { soft: Some(100), hard: Some(200) };
        limited.kernel.ulimits.insert("nproc".to_owned(), limit);
        limited.kernel.sysctls.insert("kernel.shmmax".to_owned(), "1048576".to_owned());
        let mut open = plain.clone();
        open.confinement.system_paths = Profile::Unconfined;
        let cases = [
            ("plain", plain.clone()),
            ("read-only", ContainerConfig { read_only: true, mounts: vec![memory], ..plain.clone() }),
            ("without new privileges", ContainerConfig { no_new_privileges: true, ..plain.clone() }),
            ("without capabilities", ContainerConfig { cap_drop: vec!["ALL".to_owned()], ..plain.clone() }),
            (
                "with more capabilities",
                ContainerConfig { cap_add: vec!["CAP_NET_ADMIN".to_owned()], ..plain.clone() },
            ),
            (
                "a user with groups",
                ContainerConfig {
                    user: Some("1000:1000".to_owned()),
                    group_add: vec!["7".to_owned()],
                    ..plain
                },
            ),
            ("with limits", limited),
            ("with all system paths", open),
        ];
        for (what, config) in cases {
            hold(host, &engine, &world, what, config).await;
        }
        remove_everything(&engine).await;
    });
}
