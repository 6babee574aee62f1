//! What must not be left behind: processes, mounts, cgroups, links, nft tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{run, wait_until};

/// Looks for what belongs to the host in one directory.
pub(crate) struct Leaks {
    directory: PathBuf,
    cgroups: BTreeSet<PathBuf>,
}

impl Leaks {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), cgroups: cgroups() }
    }

    /// Waits for what is on its way out, and fails for what stays.
    pub(crate) fn assert_none(&self) {
        wait_until("no process of the host is left", || self.processes().is_empty());
        let mounts = fs_err::read_to_string("/proc/self/mounts").expect("/proc is mounted");
        let directory = self.directory.to_string_lossy().into_owned();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&directory)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        // The kernel takes a container's network away a moment after its last process.
        wait_until("no link is left", || run("ip", &["-o", "link", "show", "type", "veth"]).is_empty());
        // Other tests make and remove cgroups at the same time; those of this host have its processes' ids in no name,
        // so a new one that stays empty is what counts.
        wait_until("no empty cgroup is left", || self.empty_cgroups().is_empty());
    }

    /// Processes whose command line names the host's directory.
    fn processes(&self) -> Vec<String> {
        let wanted = self.directory.to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs_err::read_dir("/proc").expect("/proc is mounted").flatten() {
            let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&wanted) && entry.file_name() != *std::process::id().to_string() {
                found.push(line);
            }
        }
        found
    }

    fn empty_cgroups(&self) -> Vec<PathBuf> {
        let is_empty = |path: &PathBuf| {
            fs_err::read_to_string(path.join("cgroup.procs")).is_ok_and(|text| text.is_empty())
        };
        cgroups().into_iter().filter(|path| !self.cgroups.contains(path) && is_empty(path)).collect()
    }
}

/// Every cgroup of a container of homeostat.
fn cgroups() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"] {
        for parent in directories(Path::new(root)) {
            let name = parent.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("homeostat") {
                found.extend(directories(&parent));
            }
        }
    }
    found
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
