//! Where the hierarchies are mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::CgroupError;
use super::files::read;

/// Which interface of the kernel is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller, also where one of version 2 without controllers is mounted beside them (hybrid).
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// The v1 controllers that the OCI runtime uses; other hierarchies, as systemd's, are not touched.
const CONTROLLERS: [&str; 12] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

/// The mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hierarchies {
    /// Mount point by controller.
    V1(BTreeMap<&'static str, PathBuf>),
    /// The one mount point.
    V2(PathBuf),
}

impl Hierarchies {
    pub(super) fn find() -> Result<Self, CgroupError> {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo")?)
            .ok_or(CgroupError::Missing { controller: "anything" })
    }

    fn parse(mountinfo: &str) -> Option<Self> {
        let mut controllers = BTreeMap::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((mount_point, kind, options)) = parse_line(line) else { continue };
            match kind {
                "cgroup" => {
                    let named = options.split(',');
                    for name in named.filter_map(|name| CONTROLLERS.into_iter().find(|known| *known == name))
                    {
                        controllers.entry(name).or_insert_with(|| mount_point.clone());
                    }
                }
                "cgroup2" => unified = unified.or(Some(mount_point)),
                _ => {}
            }
        }
        if controllers.is_empty() { unified.map(Self::V2) } else { Some(Self::V1(controllers)) }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Self::V1(_) => Version::V1,
            Self::V2(_) => Version::V2,
        }
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        match self {
            Self::V1(controllers) => controllers.contains_key(controller),
            Self::V2(root) => {
                // The freezer and cpu accounting are part of v2 itself.
                matches!(controller, "freezer" | "cpuacct")
                    || read(&root.join("cgroup.controllers"))
                        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
            }
        }
    }

    pub(super) fn counts_swap(&self) -> bool {
        match self {
            Self::V1(controllers) => controllers
                .get("memory")
                .is_some_and(|root| root.join("memory.memsw.limit_in_bytes").exists()),
            // The root has no such file; the kernel's list of swaps being there means that it can swap at all.
            Self::V2(_) => Path::new("/proc/swaps").exists(),
        }
    }

    /// Each directory of a control group once, though controllers may share a hierarchy.
    pub(super) fn directories(&self, path: &Path) -> Vec<PathBuf> {
        match self {
            Self::V1(controllers) => {
                let roots: BTreeSet<_> = controllers.values().collect();
                roots.into_iter().map(|root| root.join(path)).collect()
            }
            Self::V2(root) => vec![root.join(path)],
        }
    }

    pub(super) fn controller(&self, name: &'static str, path: &Path) -> Result<PathBuf, CgroupError> {
        match self {
            Self::V1(controllers) => {
                let root = controllers.get(name).ok_or(CgroupError::Missing { controller: name })?;
                Ok(root.join(path))
            }
            Self::V2(root) => Ok(root.join(path)),
        }
    }
}

/// Mount point, type and super block options of a line, see `proc_pid_mountinfo(5)`.
fn parse_line(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    // A mount of a part of a hierarchy (a bind mount) has another root.
    if fields.nth(3)? != "/" {
        return None;
    }
    let mount_point = PathBuf::from(fields.next()?);
    let mut fields = file_system.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1)?;
    Some((mount_point, kind, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_alone_is_version_2() {
        let mountinfo = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Hierarchies::parse(mountinfo), Some(Hierarchies::V2("/sys/fs/cgroup".into())));
    }

    #[test]
    fn hybrid_is_version_1_and_named_hierarchies_are_left_alone() {
        let mountinfo = "\
            1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            3 0 0:3 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            4 0 0:4 /docker /mnt/part rw - cgroup cgroup rw,memory\n";
        let found = Hierarchies::parse(mountinfo).unwrap();
        assert_eq!(found.version(), Version::V1);
        assert_eq!(found.directories(Path::new("a/b")), [Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b")]);
        assert!(!found.has("memory"));
    }

    #[test]
    fn no_cgroups_at_all_is_said() {
        assert_eq!(Hierarchies::parse("1 0 0:1 / / rw - ext4 /dev/sda rw\n"), None);
    }
}
