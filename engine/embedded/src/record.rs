//! What is kept of a container, a volume and a network on disk.

use std::path::PathBuf;

use homeostat_reconciler::ResourceKey;
use homeostat_spec::{ContainerConfig, Network, Protocol, PublishedPort, Volume};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A container: all that is needed to start it. Whether and how it runs is told by what its monitor writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    /// Its key.
    pub(crate) key: ResourceKey,
    /// The reference that it was created from.
    pub(crate) image: String,
    /// The id of the image at that time.
    pub(crate) image_id: String,
    /// What the image says about how it is run.
    pub(crate) defaults: ImageDefaults,
    /// What it was created with, and updated to since.
    pub(crate) config: ContainerConfig,
    /// Where the source's files that it mounts lie, each under its digest.
    pub(crate) files: PathBuf,
    /// Where the image's `VOLUME`s that nothing of the config covers are mounted: that of `volumes/N` is the N-th.
    pub(crate) anonymous_volumes: Vec<String>,
    /// When it was created.
    pub(crate) created_at: Timestamp,
}

impl ContainerRecord {
    /// The ports that are to be published: those asked for, and where all are, the others that the image exposes.
    pub(crate) fn ports(&self) -> Vec<PublishedPort> {
        let mut ports = self.config.ports.clone();
        for &(container_port, protocol) in self.defaults.exposed.iter().filter(|_| self.config.publish_all) {
            let asked =
                |port: &PublishedPort| (port.container_port, port.protocol) == (container_port, protocol);
            if !self.config.ports.iter().any(asked) {
                ports.push(PublishedPort {
                    host_ip: None,
                    host_port: 0,
                    host_port_last: None,
                    container_port,
                    protocol,
                });
            }
        }
        ports
    }
}

/// What an image's configuration says about how it is run (OCI image specification, "config").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageDefaults {
    /// `Entrypoint`.
    pub(crate) entrypoint: Vec<String>,
    /// `Cmd`.
    pub(crate) command: Vec<String>,
    /// `Env`, each as `NAME=VALUE`.
    pub(crate) env: Vec<String>,
    /// `WorkingDir`.
    pub(crate) working_dir: Option<String>,
    /// `User`.
    pub(crate) user: Option<String>,
    /// `StopSignal`.
    pub(crate) stop_signal: Option<String>,
    /// `Volumes`, sorted.
    pub(crate) volumes: Vec<String>,
    /// `ExposedPorts`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exposed: Vec<(u16, Protocol)>,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    /// Its key.
    pub(crate) key: ResourceKey,
    /// What it was created with.
    pub(crate) volume: Volume,
    /// When it was created.
    pub(crate) created_at: Timestamp,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// Its key.
    pub(crate) key: ResourceKey,
    /// What it was created with.
    pub(crate) network: Network,
    /// When it was created.
    pub(crate) created_at: Timestamp,
}

/// A run whose end nobody saw, as after a power cut: there is no exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostRun {
    /// When the run was started: with another start, this is about an earlier run.
    pub(crate) started_at: Timestamp,
    /// When it was found to have ended.
    pub(crate) finished_at: Timestamp,
}
