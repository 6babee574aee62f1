//! Taking this process out of the host's namespaces, before the container is made in its own.

use fs_err as fs;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::failure::OrFail as _;
use crate::{Failure, FailureKind};

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

/// Gives this process a mount namespace of its own, and a network namespace if wanted.
///
/// Mounts made here are seen here only and are gone with the process; what the host unmounts is unmounted here too, so that
/// no container keeps a disk busy.
pub(crate) fn leave_host(network: bool) -> Result<(), Failure> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    flags.set(CloneFlags::CLONE_NEWNET, network);
    unshare(flags).or_fail(FailureKind::Runtime, "make namespaces")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .or_fail(FailureKind::Runtime, "take the mounts out of the host's sight")?;
    if network {
        // As in Docker: within its own network a container's user may open any port.
        let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    }
    Ok(())
}

/// Takes device files out of a mounted root: what an image brings as a device is none.
pub(crate) fn forbid_devices(root: &std::path::Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    mount(none, root, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NODEV, none)
        .or_fail(FailureKind::Runtime, "forbid device files in the root file system")
}

/// Holds signals back and delivers those of `wanted` through a descriptor. The others that would end this process
/// are held back for good: it ends when its container has.
pub(crate) fn take_signals(wanted: &[Signal]) -> Result<SignalFd, Failure> {
    let held = [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    let held: SigSet = held.into_iter().chain(wanted.iter().copied()).collect();
    held.thread_block().or_fail(FailureKind::Runtime, "hold back signals")?;
    let wanted: SigSet = wanted.iter().copied().collect();
    SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .or_fail(FailureKind::Runtime, "listen for signals")
}

/// Gives memory that the start took back to the kernel: from now on the monitor mostly sleeps.
#[allow(unsafe_code)]
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator gives up pages that it knows to be free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How much the kernel spares this process when memory runs out: `oom_score_adj` of `proc_pid_oom_score_adj(5)`.
#[derive(Debug)]
pub(crate) struct Spared {
    before: i32,
}

/// A service manager may have the agent spared. That is not for what runs in containers, or a leak there would have every
/// other program of the host killed first; so what this process starts from now on is not.
pub(crate) fn spare_no_more() -> Result<Spared, Failure> {
    let attempted = "tell the kernel whom to spare when memory runs out";
    let text = fs::read_to_string(OOM_SCORE).or_fail(FailureKind::Runtime, attempted)?;
    let before = text.trim().parse().unwrap_or(0);
    if before < 0 {
        fs::write(OOM_SCORE, "0").or_fail(FailureKind::Runtime, attempted)?;
    }
    Ok(Spared { before })
}

impl Spared {
    /// Has this process itself spared again.
    pub(crate) fn again(self) {
        if self.before < 0 {
            // Takes CAP_SYS_RESOURCE. Without it a monitor is as much in danger as its container, and takes little.
            let _ = fs::write(OOM_SCORE, self.before.to_string());
        }
    }
}

/// Forgets what was inherited: none of the environment is meant for a container, `LISTEN_FDS` would make libcontainer pass
/// descriptors on, and with a service manager's umask others than root could not enter the container's root.
#[allow(unsafe_code)]
pub(crate) fn forget_inherited() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        // SAFETY: the monitor has one thread.
        unsafe { std::env::remove_var(name) };
    }
}
