//! What containers use, and the processes in them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a container uses now, from its cgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in all, in seconds and nanoseconds.
    pub cpu: Duration,
    /// Memory without inactive page cache, in bytes, as cAdvisor's working set.
    pub memory_working_set: u64,
    /// Memory with page cache, in bytes.
    pub memory_usage: u64,
    /// The memory limit in bytes.
    pub memory_limit: Option<u64>,
    /// How often the out-of-memory killer struck.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
    /// What went over its network; `None` without a network of its own.
    #[serde(default)]
    pub network: Option<Traffic>,
    /// What went to and from block devices, as far as the kernel charges the container for it; `None` where no control
    /// group counts it.
    #[serde(default)]
    pub block: Option<Traffic>,
}

/// Bytes in both directions since the container was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Received, or read, in bytes.
    pub input: u64,
    /// Sent, or written, in bytes.
    pub output: u64,
}

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerProcess {
    /// Its process id in the engine's pid namespace: on the host.
    pub pid: u32,
    /// The user that it acts as: the name that the engine's host has for it, else the number.
    pub user: String,
    /// CPU time in all, in seconds and nanoseconds.
    pub cpu: Duration,
    /// Its command line with spaces between; its name in brackets where it has none.
    pub command: String,
}
