//! What must not be left behind: processes, mounts, cgroups, links, nft tables.

use std::path::{Path, PathBuf};

use crate::{run, wait_until};

/// Looks for what belongs to the host in one directory.
pub(crate) struct Leaks {
    directory: PathBuf,
}

impl Leaks {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
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
        wait_until("no control group of the host is left", || self.cgroups().is_empty());
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

    /// Control groups of the host's embedded engine, whose name is that of its data directory alone: other tests, and
    /// the daemons of other tests, have groups of other names.
    fn cgroups(&self) -> Vec<PathBuf> {
        let name = homeostat_embedded::instance_name(&self.directory.join("data"));
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        let hierarchies = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .filter_map(|line| line.split(' ').nth(4));
        hierarchies.map(|root| Path::new(root).join(&name)).filter(|group| group.exists()).collect()
    }
}
