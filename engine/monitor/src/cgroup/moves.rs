//! Getting the kernel ready to move processes.

use std::path::PathBuf;

use fs_err as fs;

use super::CgroupError;
use super::files::write;
use super::hierarchy::Hierarchies;

/// Has the kernel get ready to move processes between control groups.
///
/// The first write to any `cgroup.procs` after a quiet time waits for a grace period of RCU, some 10 ms; those within
/// about as long after it do not. A move of this process to where it is changes nothing and waits the same,
/// while the monitor of a container that is being started has other things to do.
///
/// # Errors
/// When the kernel does not let this process be moved. Then the start waits.
pub fn expect_moves() -> Result<(), CgroupError> {
    let hierarchies = Hierarchies::find()?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let Some(directory) = own_directory(&hierarchies, &own) else { return Ok(()) };
    write(&directory.join("cgroup.procs"), "0")
}

/// Where this process is, in the hierarchy whose controllers come first in `/proc/self/cgroup` (cgroups(7)).
fn own_directory(hierarchies: &Hierarchies, own: &str) -> Option<PathBuf> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match hierarchies {
            Hierarchies::V1(roots) => {
                let root = controllers.split(',').find_map(|controller| roots.get(controller))?;
                Some(root.join(path))
            }
            Hierarchies::V2(root) => controllers.is_empty().then(|| root.join(path)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_control_group_is_found_in_either_version() {
        let unified = Hierarchies::V2("/sys/fs/cgroup".into());
        let own = "0::/system.slice/homeostat.service\n";
        let expected = "/sys/fs/cgroup/system.slice/homeostat.service";
        assert_eq!(own_directory(&unified, own), Some(expected.into()));
        let split = Hierarchies::V1([("pids", "/sys/fs/cgroup/pids".into())].into());
        let own = "9:name=systemd:/\n8:cpu,pids:/agent\n0::/\n";
        assert_eq!(own_directory(&split, own), Some("/sys/fs/cgroup/pids/agent".into()));
        assert_eq!(own_directory(&split, "0::/\n"), None);
    }

    #[test]
    fn a_move_to_where_one_is_changes_nothing() {
        let before = fs::read_to_string("/proc/self/cgroup").unwrap();
        expect_moves().unwrap();
        assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), before);
    }
}
