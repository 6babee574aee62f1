//! Which system calls a container may make: an allow-list with the content of Docker's default profile.
//!
//! Everything else fails with EPERM; `clone3`, whose arguments no filter can see, with ENOSYS, upon which
//! programs fall back to `clone`.

use std::io::{Read as _, Seek as _};
use std::path::Path;

use homeostat_files::{read_json, write_json_durably};
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall, ScmpVersion,
};
use oci_spec::runtime::{Capabilities, Capability, Spec};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::capabilities::bit;

/// The architectures whose programs the kernel of this one runs. Not x32, which no distribution has any more and which
/// would make the filter half as large again: a program of it is killed.
const ARCHITECTURES: &[ScmpArch] = if cfg!(target_arch = "x86_64") {
    &[ScmpArch::X8664, ScmpArch::X86]
} else if cfg!(target_arch = "aarch64") {
    &[ScmpArch::Aarch64, ScmpArch::Arm]
} else {
    &[ScmpArch::Native]
};

/// The `CLONE_NEW*` flags of clone(2): cgroup, uts, ipc, user, pid, net, mount.
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;

/// Execution domains of personality(2) that only change how a program sees itself: `PER_LINUX`, `PER_LINUX32`, both with
/// `UNAME26`, and the query.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Allowed whatever the capabilities are.
#[rustfmt::skip]
const ALWAYS: &[&str] = &[
    "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget", "capset", "chdir",
    "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64",
    "clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "close", "close_range",
    "connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl",
    "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat",
    "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "getcpu", "getcwd", "getdents",
    "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
    "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid",
    "getresgid32", "getresuid", "getresuid32", "getrlimit", "get_robust_list", "getrusage", "getsid", "getsockname",
    "getsockopt", "get_thread_area", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "ioctl", "io_destroy",
    "io_getevents", "io_pgetevents", "io_pgetevents_time64", "ioprio_get", "ioprio_set", "io_setup", "io_submit",
    "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32",
    "lgetxattr", "link", "linkat", "listen", "listxattr", "llistxattr", "_llseek", "lremovexattr", "lseek",
    "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
    "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "mremap", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock",
    "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open", "openat",
    "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read", "readahead",
    "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
    "remap_file_pages", "removexattr", "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop",
    "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "setfsgid",
    "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer",
    "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32",
    "setreuid", "setreuid32", "setrlimit", "set_robust_list", "setsid", "setsockopt", "set_thread_area",
    "set_tid_address", "setuid", "setuid32", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown",
    "sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair", "splice",
    "stat", "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
    "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
    "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64",
    "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes",
    "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
    // Safe since Linux 4.8, which checks the filter after the tracer has had its say.
    "process_vm_readv", "process_vm_writev", "ptrace",
];

/// Allowed on some architectures only.
const ARCHITECTURE: &[&str] = if cfg!(target_arch = "x86_64") {
    &["arch_prctl", "modify_ldt"]
} else if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
    &["arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"]
} else if cfg!(target_arch = "riscv64") {
    &["riscv_flush_icache", "riscv_hwprobe"]
} else if cfg!(target_arch = "s390x") {
    &["s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"]
} else if cfg!(target_arch = "powerpc64") {
    &["swapcontext", "sync_file_range2"]
} else {
    &[]
};

/// Allowed with a capability, which the kernel checks as well.
#[rustfmt::skip]
const WITH_CAPABILITY: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (Capability::SysAdmin, &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount",
        "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname",
        "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    ]),
    (Capability::SysBoot, &["reboot"]),
    (Capability::SysChroot, &["chroot"]),
    (Capability::SysModule, &["delete_module", "finit_module", "init_module"]),
    (Capability::SysPacct, &["acct"]),
    (Capability::SysPtrace, &["kcmp", "pidfd_getfd", "process_madvise"]),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (Capability::SysTime, &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    (Capability::SysTtyConfig, &["vhangup"]),
    (Capability::SysNice, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

/// The annotation of a specification that asks for none.
pub(crate) const UNCONFINED: &str = "io.homeostat.seccomp-unconfined";

/// Whether programs with this specification may make every system call.
pub(crate) fn is_unconfined(spec: &Spec) -> bool {
    spec.annotations().as_ref().is_some_and(|all| all.contains_key(UNCONFINED))
}

/// A filter in the form in which the kernel takes it: instructions of classic BPF, each as `struct sock_filter` in
/// eight bytes of this machine's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    instructions: Vec<u64>,
}

/// The filter for a container with these capabilities, from `directory` if it was made before: to make one takes longer
/// than all the rest of a start together.
///
/// # Errors
/// When libseccomp cannot make it. Whether it could be kept makes no difference.
pub(crate) fn filter(granted: &Capabilities, directory: &Path) -> Result<Filter, SeccompError> {
    let path = directory.join(file_name(granted));
    if let Ok(Some(filter)) = read_json(&path) {
        return Ok(filter);
    }
    let filter = compile(granted)?;
    let _ = write_json_durably(&path, &filter);
    Ok(filter)
}

/// Different for every set of capabilities, every build of homeostat and every libseccomp.
fn file_name(granted: &Capabilities) -> String {
    let bits = granted.iter().fold(CapabilitySet::empty(), |set, one| set | bit(*one)).bits();
    let library = ScmpVersion::current().map_or_else(|_| "unknown".to_owned(), |version| version.to_string());
    format!("seccomp-{}-{library}-{bits:x}.json", env!("CARGO_PKG_VERSION"))
}

fn compile(granted: &Capabilities) -> Result<Filter, SeccompError> {
    let mut context = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    for architecture in ARCHITECTURES {
        context.add_arch(*architecture)?;
    }
    allow(&mut context, ALWAYS)?;
    allow(&mut context, ARCHITECTURE)?;
    for (capability, calls) in WITH_CAPABILITY {
        if granted.contains(capability) {
            allow(&mut context, calls)?;
        }
    }
    if !granted.contains(&Capability::SysAdmin) {
        let no_namespace = ScmpArgCompare::new(clone_flags(), ScmpCompareOp::MaskedEqual(NAMESPACE_FLAGS), 0);
        allow_if(&mut context, "clone", no_namespace)?;
        context.add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from_name("clone3")?)?;
    }
    for domain in PERSONALITIES {
        allow_if(&mut context, "personality", ScmpArgCompare::new(0, ScmpCompareOp::Equal, domain))?;
    }
    let vsock = u64::from(libc::AF_VSOCK.unsigned_abs());
    allow_if(&mut context, "socket", ScmpArgCompare::new(0, ScmpCompareOp::NotEqual, vsock))?;
    export(&context)
}

/// Position of the flags among the arguments of clone(2).
fn clone_flags() -> u32 {
    u32::from(cfg!(target_arch = "s390x"))
}

fn allow(context: &mut ScmpFilterContext, calls: &[&str]) -> Result<(), SeccompError> {
    for call in calls {
        // A call that this libseccomp does not know is refused by the default.
        if let Ok(call) = ScmpSyscall::from_name(call) {
            context.add_rule(ScmpAction::Allow, call)?;
        }
    }
    Ok(())
}

fn allow_if(
    context: &mut ScmpFilterContext,
    call: &str,
    condition: ScmpArgCompare,
) -> Result<(), SeccompError> {
    context.add_rule_conditional(ScmpAction::Allow, ScmpSyscall::from_name(call)?, &[condition])?;
    Ok(())
}

fn export(context: &ScmpFilterContext) -> Result<Filter, SeccompError> {
    let memory =
        rustix::fs::memfd_create("seccomp", rustix::fs::MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
    let mut file = std::fs::File::from(memory);
    context.export_bpf(&file)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (instructions, _) = bytes.as_chunks();
    Ok(Filter { instructions: instructions.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect() })
}

/// A filter could not be made or loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeccompError {
    /// libseccomp refused.
    #[error("libseccomp cannot make the filter")]
    Library(#[from] libseccomp::error::SeccompError),
    /// The kernel refused.
    #[error("the kernel does not take the filter")]
    Kernel(#[from] std::io::Error),
}

impl Filter {
    /// Puts this process, and all that it starts, under the filter for good. Takes `CAP_SYS_ADMIN` or the `no_new_privs` bit.
    ///
    /// # Errors
    /// When the kernel has no seccomp, or the filter is damaged.
    pub(crate) fn load(&self) -> Result<(), SeccompError> {
        let length = u16::try_from(self.instructions.len())
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))?;
        let filter = self.instructions.as_ptr().cast_mut().cast();
        Ok(set_filter(&libc::sock_fprog { len: length, filter })?)
    }
}

#[allow(unsafe_code)]
fn set_filter(program: &libc::sock_fprog) -> std::io::Result<()> {
    // SAFETY: the kernel copies the program, whose `len` instructions of eight bytes each its only caller holds.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(program)) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_kept_and_a_damaged_one_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let granted = Capabilities::from([Capability::Chown]);
        let first = filter(&granted, directory.path()).unwrap();
        assert!(first.instructions.len() > 100);
        let path = directory.path().join(file_name(&granted));
        assert_eq!(read_json::<Filter>(&path).unwrap().as_ref(), Some(&first));
        fs_err::write(&path, "damaged").unwrap();
        assert_eq!(filter(&granted, directory.path()).unwrap(), first);
        assert_eq!(read_json::<Filter>(&path).unwrap(), Some(first));
    }

    #[test]
    fn filters_differ_with_capabilities() {
        let without = compile(&Capabilities::new()).unwrap();
        let with = compile(&Capabilities::from([Capability::SysAdmin])).unwrap();
        assert_ne!(without, with);
        assert_ne!(file_name(&Capabilities::new()), file_name(&Capabilities::from([Capability::SysAdmin])));
    }

    #[test]
    fn most_calls_of_the_profile_are_known() {
        let unknown: Vec<_> = ALWAYS.iter().filter(|call| ScmpSyscall::from_name(call).is_err()).collect();
        // Those are newer than the oldest libseccomp that is supported.
        assert!(unknown.len() < 12, "{unknown:?}");
    }
}
