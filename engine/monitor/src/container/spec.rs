//! The OCI runtime specification of a container, with Docker's defaults.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::accounts::User;
use homeostat_spec::{Confinement, Kernel, Profile, Resources, TmpfsOptions};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, Linux, LinuxBuilder, LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxMemoryBuilder,
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder, Mount, MountBuilder, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
    UserBuilder,
};

use super::devices::Granted;
use super::{capabilities, init, kernel, seccomp};
use crate::cgroup::{Cgroup, Version, cpu_quota_and_period};

/// Everything that the specification says.
pub(crate) struct Content<'a> {
    pub(crate) rootfs: &'a Path,
    pub(crate) read_only: bool,
    pub(crate) args: &'a [String],
    pub(crate) env: Vec<String>,
    pub(crate) cwd: &'a str,
    pub(crate) user: &'a User,
    pub(crate) hostname: &'a str,
    /// Beside the usual ones, in the order in which they are mounted.
    pub(crate) binds: &'a [Bind],
    pub(crate) resources: &'a Resources,
    pub(crate) granted: &'a Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) kernel: &'a Kernel,
    pub(crate) init: bool,
    pub(crate) confinement: Confinement,
    pub(crate) devices: &'a [Granted],
    pub(crate) terminal: bool,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) cgroup_path: &'a Path,
}

/// A mount beside the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// What is mounted; `None` for an empty file system in memory.
    pub(crate) source: Option<PathBuf>,
    /// Where, in the root.
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
    /// Device files in it are devices.
    pub(crate) devices: bool,
    /// Without a source: what the file system in memory is like.
    pub(crate) tmpfs: TmpfsOptions,
}

/// The size of `/dev/shm` unless another is asked for, in bytes: Docker's.
const SHM_SIZE: u64 = 64 << 20;

/// Parts of `/proc` and `/sys` that tell about, or change, the host.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Parts of `/proc` that may be looked at only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(crate) fn build(content: &Content<'_>) -> Result<Spec, OciSpecError> {
    let mut mounts = usual_mounts(content.kernel.shm_size)?;
    for bind in content.binds {
        mounts.push(bind_mount(bind)?);
    }
    let root = RootBuilder::default().path(content.rootfs).readonly(content.read_only).build()?;
    let mut spec = SpecBuilder::default()
        .version("1.0.2")
        .root(root)
        .hostname(content.hostname)
        .process(process(content)?)
        .mounts(mounts)
        .linux(linux(content)?)
        .build()?;
    spec.set_annotations(annotations(content));
    Ok(spec)
}

/// What the process that becomes the program has to know, and those of commands that are run later.
fn annotations(content: &Content<'_>) -> Option<HashMap<String, String>> {
    let asked = [
        (content.init, init::ANNOTATION),
        (content.confinement.seccomp == Profile::Unconfined, seccomp::UNCONFINED),
    ];
    let asked = asked.into_iter().filter(|(asked, _)| *asked);
    let annotations: HashMap<_, _> = asked.map(|(_, name)| (name.to_owned(), "true".to_owned())).collect();
    (!annotations.is_empty()).then_some(annotations)
}

pub(crate) fn user(user: &User) -> Result<oci_spec::runtime::User, OciSpecError> {
    let groups = user.groups.clone();
    UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(groups).build()
}

fn process(content: &Content<'_>) -> Result<Process, OciSpecError> {
    let mut process = ProcessBuilder::default()
        .args(content.args.to_vec())
        .env(content.env.clone())
        .cwd(content.cwd)
        .user(user(content.user)?)
        .capabilities(capabilities::sets(&capabilities::until_narrowed(content.granted)))
        .build()?;
    // Its own defaults would lower the limits of the host, and forbid set-uid programs.
    process.set_rlimits(Some(kernel::rlimits(&content.kernel.ulimits)?));
    process.set_terminal(content.terminal.then_some(true));
    process.set_no_new_privileges(content.no_new_privileges.then_some(true));
    Ok(process)
}

fn linux(content: &Content<'_>) -> Result<Linux, OciSpecError> {
    let (masked, read_only) = match content.confinement.system_paths {
        Profile::Default => (&MASKED[..], &READ_ONLY[..]),
        Profile::Unconfined => (&[][..], &[][..]),
    };
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let (masked, mut read_only) = (owned(masked), owned(read_only));
    read_only.extend(cgroup_mounts(content.cgroup));
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces()?)
        .resources(resources(content)?)
        .cgroups_path(Path::new("/").join(content.cgroup_path))
        .masked_paths(masked)
        .readonly_paths(read_only)
        .build()?;
    // The filter is loaded with the program, see `executor`.
    linux.set_seccomp(None);
    let nodes: Vec<_> = content.devices.iter().map(|(node, _)| node.clone()).collect();
    linux.set_devices((!nodes.is_empty()).then_some(nodes));
    linux.set_sysctl(kernel::ipc_parameters(content.kernel));
    Ok(linux)
}

/// Each but the network, which is the monitor's own: it is made before the container is.
fn namespaces() -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let mut kinds = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
    ];
    if Path::new("/proc/self/ns/cgroup").exists() {
        kinds.push(LinuxNamespaceType::Cgroup);
    }
    kinds.into_iter().map(|kind| LinuxNamespaceBuilder::default().typ(kind).build()).collect()
}

fn resources(content: &Content<'_>) -> Result<LinuxResources, OciSpecError> {
    // No device but those that are granted, and those that the runtime allows every container.
    let no_device = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
    let rules = std::iter::once(no_device).chain(content.devices.iter().map(|(_, rule)| rule.clone()));
    let mut resources = LinuxResourcesBuilder::default().devices(rules.collect::<Vec<_>>());
    if let Some(bytes) = content.resources.memory {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut memory = LinuxMemoryBuilder::default().limit(bytes);
        if content.cgroup.counts_swap() {
            memory = memory.swap(bytes);
            if content.cgroup.version() == Version::V2 {
                // There the limit of swap is one of its own, and the runtime takes zero for "not said".
                resources =
                    resources.unified(HashMap::from([("memory.swap.max".to_owned(), "0".to_owned())]));
            }
        }
        resources = resources.memory(memory.build()?);
    }
    if let Some(millis) = content.resources.cpu_millis {
        let (quota, period) = cpu_quota_and_period(millis);
        let quota = i64::try_from(quota).unwrap_or(i64::MAX);
        resources = resources.cpu(LinuxCpuBuilder::default().quota(quota).period(period).build()?);
    }
    if let Some(pids) = content.resources.pids {
        resources = resources.pids(LinuxPidsBuilder::default().limit(i64::from(pids)).build()?);
    }
    resources.build()
}

fn usual_mounts(shm_size: Option<u64>) -> Result<Vec<Mount>, OciSpecError> {
    let shm = format!("nosuid,noexec,nodev,mode=1777,size={}", shm_size.unwrap_or(SHM_SIZE));
    [
        usual("proc", "/proc", "proc", "nosuid,noexec,nodev"),
        usual("tmpfs", "/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        usual("devpts", "/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        usual("sysfs", "/sys", "sysfs", "nosuid,noexec,nodev,ro"),
        usual("cgroup", "/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
        usual("mqueue", "/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        usual("shm", "/dev/shm", "tmpfs", &shm),
    ]
    .into_iter()
    .collect()
}

fn usual(source: &str, target: &str, kind: &str, options: &str) -> Result<Mount, OciSpecError> {
    let options: Vec<_> = options.split(',').map(str::to_owned).collect();
    MountBuilder::default().source(source).destination(target).typ(kind).options(options).build()
}

fn bind_mount(bind: &Bind) -> Result<Mount, OciSpecError> {
    let Some(source) = &bind.source else {
        let mut options = format!("nosuid,nodev,mode={:o}", bind.tmpfs.mode.unwrap_or(0o1777));
        if let Some(size) = bind.tmpfs.size {
            let _ = write!(options, ",size={size}");
        }
        if bind.read_only {
            options.push_str(",ro");
        }
        return usual("tmpfs", &bind.target.to_string_lossy(), "tmpfs", &options);
    };
    let mut options = vec!["rbind".to_owned(), "rprivate".to_owned()];
    if bind.read_only {
        options.extend(["ro".to_owned(), "rro".to_owned()]);
    }
    if !bind.devices {
        options.extend(["nodev".to_owned(), "rnodev".to_owned()]);
    }
    MountBuilder::default().source(source).destination(&bind.target).typ("bind").options(options).build()
}

/// The hierarchies of cgroup v1 in a container: the runtime mounts them writable, with which a container could lift its
/// own limits.
fn cgroup_mounts(cgroup: &Cgroup) -> Vec<String> {
    if cgroup.version() == Version::V2 {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
    let directories =
        entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut paths: Vec<_> = directories.map(|entry| entry.path().to_string_lossy().into_owned()).collect();
    // What holds them comes after them.
    paths.push("/sys/fs/cgroup".to_owned());
    paths
}
