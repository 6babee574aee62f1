//! Docker Engine and Podman as an engine, over the Docker Engine API.
//!
//! - [`Docker`] implements the engine port. It never waits for the daemon to be there: whatever is asked for connects
//!   when it has to, and says so when it cannot.
//! - Whose a container, volume or network is, its labels say; of what was adopted, a file in the data directory.
//! - What the engine has told is kept as long as its events say that it holds, see `cache`.
//! - Where the two engines differ from the embedded one, and from each other, is in `docs/engines.md`.

mod attach;
mod build;
mod cache;
mod certificates;
mod changes;
mod connect;
mod connection;
mod containers;
mod create;
mod credentials;
mod disk;
mod endpoint;
mod engine;
mod events;
mod exec;
mod export;
mod failure;
mod foreign;
mod host_config;
mod images;
mod ledger;
mod logs;
mod names;
mod networks;
mod observe;
mod port;
mod processes;
mod prune;
mod read;
mod remote;
mod stored;
mod stream;
mod told;
mod top;
mod transfer;
mod update;
mod usage;
mod volumes;

use std::path::PathBuf;

pub use engine::Docker;

/// Which engine speaks the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Docker Engine, 20.10 and newer.
    Docker,
    /// Podman, 4.3 and newer.
    Podman,
}

impl Flavour {
    /// As given to `--engine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// How to reach an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// Which engine it is.
    pub flavour: Flavour,
    /// Where it listens: a path, `unix://PATH`, `tcp://HOST:PORT` or `https://HOST:PORT`. When absent, as
    /// `DOCKER_HOST` (for Podman `CONTAINER_HOST`) says, or where the engine listens by default.
    pub endpoint: Option<String>,
    /// Where logs of removed containers and the record of what was adopted are kept.
    pub data_directory: PathBuf,
}
