//! What the monitor tells: how a start went, what runs, how it ended.

use homeostat_spec::PublishedPort;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of the file of a [`RunState`] in the container's directory.
pub const RUN_FILE: &str = "run.json";

/// Name of the file of an [`ExitRecord`] in the container's directory.
pub const EXIT_FILE: &str = "exit.json";

/// Name of the socket in the container's directory where somebody attaches to it while it runs. Who starts the monitor may be
/// attached before the program runs, by one end of a pair of sockets as the monitor's stdin.
pub const ATTACH_SOCKET: &str = "attach.sock";

/// One JSON line that `homeostat monitor run` writes to its stdout; then it closes it. End of file without
/// a line means that the monitor died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The program runs, and [`RUN_FILE`] is written.
    Ready(RunState),
    /// It does not, nothing is left of it, and [`EXIT_FILE`] is written.
    Failed(Failure),
}

/// Which processes run a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The monitor.
    pub monitor: ProcessIdentity,
    /// The container's first process.
    pub init: ProcessIdentity,
    /// When it was started.
    pub started_at: Timestamp,
    /// The ports of the host that it holds. What was started by an older version does not tell them: then they are
    /// those that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
}

/// One process for certain: process ids are used again, also after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id in the host's pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Exit code as a shell gives it: 128 + n after signal n, 127 when the command was not found, 126 when
    /// it could not be executed, 125 when the container could not be made.
    pub code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The kernel's out-of-memory killer ended a process of it.
    pub oom_killed: bool,
    /// When it was started; absent if it was not.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Why it could not be run, if so.
    pub error: Option<Failure>,
}

/// Something failed, in words for people and a kind for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// What failed and why; the whole chain of causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Sorts of [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request cannot be carried out as it is: a malformed id, a relative path, an unknown capability,
    /// a mount source that does not exist. The user's to change.
    InvalidRequest,
    /// No such program in the container. Exit code 127.
    CommandNotFound,
    /// The program cannot be executed. Exit code 126.
    CommandNotExecutable,
    /// No such user or group in the image.
    UnknownUser,
    /// A port of the host is held by another program. May go away by itself.
    PortInUse,
    /// The kernel or this build lacks what the request needs; it is refused rather than weakened.
    Unsupported,
    /// The network could not be attached.
    Network,
    /// No space, no memory, too many processes. May go away by itself.
    Exhausted,
    /// Anything else that the kernel or the runtime refused.
    Runtime,
}

impl FailureKind {
    /// The exit code that [`ExitRecord`] has with such a failure.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::CommandNotFound => 127,
            Self::CommandNotExecutable => 126,
            _ => 125,
        }
    }
}
