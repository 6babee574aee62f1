//! What the kernel gives a container beside the limits of its control groups.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the kernel gives a container beside the limits of its control groups. The default is what every container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kernel {
    /// Limits of each of its processes (setrlimit(2)), by name, as `nofile`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Parameters of its own namespaces (sysctl(8)), by name, as `net.core.somaxconn`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes; 64 MiB when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
}

impl Kernel {
    /// Whether it asks for nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A device of the host that a container is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Device {
    /// Its absolute path on the host; of a directory every device in it.
    pub host: String,
    /// Its path in the container, beneath `/dev`.
    pub container: String,
    /// What may be done with it: some of `r`, `w` and `m` (make a file for it), in this order.
    pub permissions: String,
}

impl Device {
    /// All that can be permitted.
    pub const EVERYTHING: &str = "rwm";
}

/// `HOST:CONTAINER[:PERMISSIONS]`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.container)?;
        if self.permissions == Self::EVERYTHING { Ok(()) } else { write!(f, ":{}", self.permissions) }
    }
}

/// A limit of a process. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The one that holds, and that a process can raise up to the hard one.
    pub soft: Option<u64>,
    /// The most.
    pub hard: Option<u64>,
}

/// `SOFT:HARD`, or one of them where they are the same.
impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        f.write_str(&shown(self.soft))?;
        if self.soft == self.hard { Ok(()) } else { write!(f, ":{}", shown(self.hard)) }
    }
}

/// The names of limits of a process: those of setrlimit(2) in lower case, without `RLIMIT_`.
pub const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Parameters of the ipc namespace.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// The namespace that a parameter of the kernel belongs to, by its name with dots; `None` for one that is the host's.
pub fn sysctl_namespace(name: &str) -> Option<SysctlNamespace> {
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if !name.split('.').all(word) {
        None
    } else if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        Some(SysctlNamespace::Ipc)
    } else {
        name.starts_with("net.").then_some(SysctlNamespace::Network)
    }
}

/// See [`sysctl_namespace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysctlNamespace {
    /// Message queues, semaphores and shared memory: every container has its own.
    Ipc,
    /// The network: a container that has its own.
    Network,
}
