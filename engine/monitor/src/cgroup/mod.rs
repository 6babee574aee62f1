//! A container's control groups, on cgroup v1 (each controller its own hierarchy) and v2 (one for all).
//!
//! Works for any process, whether or not the monitor lives: the agent freezes, limits, measures and
//! kills through these. References: `cgroups(7)`, the kernel's `cgroup-v1/` and `cgroup-v2.rst`.

mod error;
mod files;
mod hierarchy;
mod moves;
mod usage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use homeostat_spec::Resources;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use error::CgroupError;
pub use hierarchy::Version;
pub use moves::expect_moves;
pub use usage::Usage;

use files::{wait_until, write};
use hierarchy::Hierarchies;

/// The period in microseconds over which CPU time is rationed: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// The smallest quota in microseconds that the kernel takes.
const CPU_QUOTA_LEAST: u64 = 1_000;

/// The control group of all monitors, beside those of their containers. No container has this name: theirs are digests.
const MONITORS: &str = "monitors";

/// How long frozen, thawed or killed processes may take to be so.
const PATIENCE: Duration = Duration::from_secs(10);

/// The control groups of one container.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    path: PathBuf,
}

impl Cgroup {
    /// Those at `path`, relative to the root of each hierarchy. They need not exist.
    ///
    /// # Errors
    /// When the path could leave the hierarchy, or no cgroups are mounted.
    pub fn at(path: impl AsRef<Path>) -> Result<Self, CgroupError> {
        let path = path.as_ref();
        let plain = |part| matches!(part, std::path::Component::Normal(_));
        if path.as_os_str().is_empty() || !path.components().all(plain) {
            return Err(CgroupError::Path { path: path.to_owned() });
        }
        Ok(Self { hierarchies: Hierarchies::find()?, path: path.to_owned() })
    }

    /// Which interface the host has.
    pub fn version(&self) -> Version {
        self.hierarchies.version()
    }

    /// Whether any of them exists.
    pub fn exists(&self) -> bool {
        self.directories().iter().any(|directory| directory.exists())
    }

    /// What of `resources` this host cannot limit, for people; empty when all of it can be.
    pub fn unsupported(&self, resources: &Resources) -> Vec<&'static str> {
        let wanted = [
            (resources.memory.is_some(), "memory"),
            (resources.cpu_millis.is_some(), "cpu"),
            (resources.pids.is_some(), "pids"),
        ];
        let missing = wanted.into_iter().filter(|(wanted, name)| *wanted && !self.hierarchies.has(name));
        missing.map(|(_, name)| name).collect()
    }

    /// Whether the kernel counts swap, so that a memory limit can include it.
    pub(crate) fn counts_swap(&self) -> bool {
        self.hierarchies.counts_swap()
    }

    /// Every process in them, those of nested control groups included.
    ///
    /// # Errors
    /// When a control group cannot be read.
    pub fn processes(&self) -> Result<BTreeSet<u32>, CgroupError> {
        let mut found = BTreeSet::new();
        for directory in self.directories() {
            files::processes(&directory, &mut found)?;
        }
        Ok(found)
    }

    /// Moves a process into them. They must exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&self, pid: u32) -> Result<(), CgroupError> {
        for directory in self.directories() {
            write(&directory.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Moves a process of the engine, as this container's monitor, beside the container.
    ///
    /// A service manager that started the agent would find it left over in the agent's service at its next start,
    /// and count it as the agent's. On cgroup v1 such a manager has a hierarchy of its own, which is left alone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_beside(&self, pid: u32) -> Result<(), CgroupError> {
        let Hierarchies::V2(root) = &self.hierarchies else { return Ok(()) };
        let Some(parent) = self.path.parent().filter(|parent| *parent != Path::new("")) else {
            return Ok(());
        };
        let monitors = root.join(parent).join(MONITORS);
        fs::create_dir_all(&monitors)?;
        write(&monitors.join("cgroup.procs"), &pid.to_string())
    }

    /// Stops every process where it is; returns when all are stopped.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] when one does not stop (it is then thawed again), and when there is no freezer.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let done = self.set_frozen(true);
        if done.is_err() {
            let _ = self.set_frozen(false);
        }
        done
    }

    /// Lets every process go on. Once they do they may end, and the control group be removed, before this is seen.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match self.set_frozen(false) {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    /// Whether every process is stopped.
    ///
    /// # Errors
    /// When there is no freezer, or no such control group.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let directory = self.controller("freezer")?;
        match self.version() {
            Version::V1 => Ok(files::read(&directory.join("freezer.state"))?.trim() == "FROZEN"),
            Version::V2 => files::counter(&directory.join("cgroup.events"), "frozen").map(|value| value == 1),
        }
    }

    /// Sets the limits; what is `None` becomes unlimited.
    ///
    /// # Errors
    /// When the kernel refuses, as when memory in use cannot be brought below the new limit.
    pub fn update(&self, resources: &Resources) -> Result<(), CgroupError> {
        self.limit_memory(resources.memory)?;
        self.limit_cpu(resources.cpu_millis)?;
        if self.hierarchies.has("pids") {
            write(&self.controller("pids")?.join("pids.max"), &limit_text(resources.pids, "max"))?;
        }
        Ok(())
    }

    /// Kills every process, frozen ones too; returns when none is left.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] when one does not end: it hangs in the kernel, as on a dead network file system.
    pub fn kill(&self) -> Result<(), CgroupError> {
        wait_until("end", &self.path, PATIENCE, || {
            let processes = self.processes()?;
            for pid in &processes {
                let pid = Pid::from_raw(pid.cast_signed());
                // It may be gone by now; whether all are, the next look tells.
                let _ = kill(pid, Signal::SIGKILL);
            }
            if !processes.is_empty() {
                self.order_thaw();
            }
            Ok(processes.is_empty())
        })
    }

    /// What the container uses now.
    ///
    /// # Errors
    /// When the control groups do not exist.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        usage::read_all(self)
    }

    /// How often the out-of-memory killer struck in them.
    ///
    /// # Errors
    /// When the kernel's file cannot be read; none is the answer when memory is not controlled.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        usage::oom_kills(self)
    }

    /// Removes them with those nested in them. They must be empty of processes, see [`kill`](Self::kill).
    ///
    /// # Errors
    /// When one is still in use.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first_error = None;
        for directory in self.directories() {
            if let Err(error) = files::remove_tree(&directory) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        let directory = self.controller("freezer")?;
        match self.version() {
            Version::V1 => {
                let state = if frozen { "FROZEN" } else { "THAWED" };
                wait_until(state, &self.path, PATIENCE, || {
                    // A v1 freezer that met a fork stays FREEZING until it is told again.
                    write(&directory.join("freezer.state"), state)?;
                    Ok(files::read(&directory.join("freezer.state"))?.trim() == state)
                })
            }
            Version::V2 => {
                write(&directory.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
                let state = if frozen { "frozen" } else { "thawed" };
                wait_until(state, &self.path, PATIENCE, || Ok(self.is_frozen()? == frozen))
            }
        }
    }

    /// Asks for a thaw without waiting: a v1 frozen process takes a kill only then.
    fn order_thaw(&self) {
        let Ok(directory) = self.controller("freezer") else { return };
        let _ = match self.version() {
            Version::V1 => write(&directory.join("freezer.state"), "THAWED"),
            Version::V2 => write(&directory.join("cgroup.freeze"), "0"),
        };
    }

    fn limit_memory(&self, bytes: Option<u64>) -> Result<(), CgroupError> {
        if !self.hierarchies.has("memory") {
            return Ok(());
        }
        let directory = self.controller("memory")?;
        if self.version() == Version::V2 {
            let swap = directory.join("memory.swap.max");
            if swap.exists() {
                write(&swap, if bytes.is_some() { "0" } else { "max" })?;
            }
            return write(&directory.join("memory.max"), &limit_text(bytes, "max"));
        }
        let value = limit_text(bytes, "-1");
        let memory = directory.join("memory.limit_in_bytes");
        let with_swap = directory.join("memory.memsw.limit_in_bytes");
        if !with_swap.exists() {
            return write(&memory, &value);
        }
        // The limit with swap is never below that without: which one goes first depends on which way they move.
        if write(&memory, &value).is_ok() {
            return write(&with_swap, &value);
        }
        write(&with_swap, &value)?;
        write(&memory, &value)
    }

    fn limit_cpu(&self, millis: Option<u32>) -> Result<(), CgroupError> {
        if !self.hierarchies.has("cpu") {
            return Ok(());
        }
        let directory = self.controller("cpu")?;
        let quota = millis.map(cpu_quota);
        if self.version() == Version::V2 {
            let text = format!("{} {CPU_PERIOD}", limit_text(quota, "max"));
            return write(&directory.join("cpu.max"), &text);
        }
        write(&directory.join("cpu.cfs_period_us"), &CPU_PERIOD.to_string())?;
        write(&directory.join("cpu.cfs_quota_us"), &limit_text(quota, "-1"))
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.hierarchies.directories(&self.path)
    }

    fn controller(&self, name: &'static str) -> Result<PathBuf, CgroupError> {
        self.hierarchies.controller(name, &self.path)
    }
}

/// The quota in microseconds for each [`CPU_PERIOD`], and that period.
pub(crate) fn cpu_quota_and_period(millis: u32) -> (u64, u64) {
    (cpu_quota(millis), CPU_PERIOD)
}

fn cpu_quota(millis: u32) -> u64 {
    (u64::from(millis) * CPU_PERIOD / 1000).max(CPU_QUOTA_LEAST)
}

fn limit_text(value: Option<impl ToString>, unlimited: &str) -> String {
    value.map_or_else(|| unlimited.to_owned(), |value| value.to_string())
}

/// Whether this host can control what devices a container uses: cgroup v1 can, v2 needs a program in the
/// kernel that this build does not load.
pub(crate) fn controls_devices(cgroup: &Cgroup) -> bool {
    cgroup.version() == Version::V1 && cgroup.hierarchies.has("devices")
}
