//! `homeostat.toml`, and the tables that it shares with app files.

use schemars::JsonSchema;
use serde::Deserialize;

use super::prune::PruneTable;
use crate::RestartPolicy;
use crate::scalar::{Bytes, Grace, Keyed, LogSize, MemoryLimit, Signal, Text, VariableName};

/// What all apps of a source have in common.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Homeostat source")]
pub(crate) struct SourceFile {
    /// Values for `${NAME}` in app files. Variables of the node win over these.
    pub(crate) variables: Keyed<VariableName, String>,
    /// What holds for every container that does not say otherwise.
    pub(crate) defaults: Defaults,
    /// What is removed by itself once nobody needs it.
    pub(crate) prune: PruneTable,
}

/// What holds for every container that does not say otherwise.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Defaults {
    /// When a container is started again after it exited. Default: `always`.
    pub(crate) restart: Option<RestartPolicy>,
    /// How containers are stopped.
    pub(crate) stop: StopTable,
    /// Rotation of logs.
    pub(crate) log: LogTable,
    /// Limits.
    pub(crate) resources: ResourcesTable,
}

/// How a container is stopped.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StopTable {
    /// The signal sent first. Default: the image's `STOPSIGNAL`, else `SIGTERM`.
    pub(crate) signal: Option<Text<Signal>>,
    /// Time before `SIGKILL` follows. Default: `10s`.
    pub(crate) grace: Option<Text<Grace>>,
}

/// Rotation of a container's log.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogTable {
    /// A file that would grow beyond this is rotated. Default: `10MiB`.
    pub(crate) max_size: Option<Bytes<LogSize>>,
    /// How many files are kept, the current one included. Default: 3.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) max_files: Option<u32>,
}

/// Limits of a container.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResourcesTable {
    /// Memory, swap included: a size such as `256MiB`, or a number of bytes. Default: no limit.
    pub(crate) memory: Option<Bytes<MemoryLimit>>,
    /// CPUs, as 0.5 for half of one. Default: no limit.
    #[schemars(range(min = 0.01, max = 1024))]
    pub(crate) cpus: Option<f64>,
    /// Number of processes and threads (the kernel's `PID_MAX_LIMIT` is the most). Default: no limit.
    #[schemars(range(min = 1, max = 4_194_304))]
    pub(crate) pids: Option<u32>,
}
