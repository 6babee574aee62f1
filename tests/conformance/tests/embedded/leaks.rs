//! What an engine must not leave on the host.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use homeostat_conformance::PATIENCE;

use crate::host::Host;

/// Asserts that nothing is left of an engine that had everything removed.
pub(crate) fn assert_none(host: &Host) {
    let data = fs_err::canonicalize(host.data()).unwrap();
    let text = data.to_str().unwrap();

    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let left: Vec<_> = mounts.lines().filter(|line| line.contains(text)).collect();
    assert!(left.is_empty(), "mounts are left: {left:#?}");

    let run = fs_err::canonicalize(host.run_directory()).unwrap();
    let left = [processes_with(text), processes_with(run.to_str().unwrap())].concat();
    assert!(left.is_empty(), "processes are left: {left:#?}");
    assert!(!run.join("dns").exists(), "names are left that nobody answers");

    for directory in ["containers", "staging", "trash"] {
        assert_eq!(names(&data.join(directory)), Vec::<String>::new(), "{directory} is not empty");
    }
    // Files there are shared by all containers, as the compiled seccomp profile.
    let oci = host.run_directory().join("oci");
    let left: Vec<_> = names(&oci).into_iter().filter(|name| oci.join(name).is_dir()).collect();
    assert!(left.is_empty(), "the runtime has notes: {left:?}");

    let left = own_cgroups(&host.data());
    assert!(left.is_empty(), "control groups are left: {left:#?}");

    // The kernel takes a network namespace apart, and with it the links to it, a moment after its last process.
    let deadline = Instant::now() + PATIENCE;
    while !links().is_empty() {
        assert!(Instant::now() < deadline, "links are left: {:#?}", links());
        std::thread::sleep(Duration::from_millis(2));
    }

    let rules = Command::new("nft").args(["list", "tables"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&rules.stdout), "", "tables of rules are left");
}

fn links() -> Vec<String> {
    let links = fs_err::read_to_string("/proc/thread-self/net/dev").unwrap();
    links.lines().skip(2).filter(|line| !line.trim().starts_with("lo:")).map(str::to_owned).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn processes_with(text: &str) -> Vec<String> {
    let entries = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
        .filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

/// Control groups of the engine of a data directory: they are below one that is named after it.
fn own_cgroups(data: &Path) -> Vec<String> {
    let name = homeostat_embedded::instance_name(data);
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let hierarchies =
        mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    hierarchies.map(|path| format!("{path}/{name}")).filter(|path| Path::new(path).exists()).collect()
}
