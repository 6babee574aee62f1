//! The engines that homeostat has, and which of them is wanted.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use homeostat_docker::{Docker, DockerConfig, Flavour};
use homeostat_embedded::{Embedded, EmbeddedConfig};
use homeostat_reconciler::ports::Engine;
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_registry::RegistryConfig;
use serde::Deserialize;

use crate::host::Directories;

/// An engine by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Homeostat's own: needs no daemon
    #[default]
    Embedded,
    /// Docker Engine
    Docker,
    /// Podman, through its Docker API
    Podman,
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Docker => "docker",
            Self::Podman => "podman",
        })
    }
}

/// Which engine is used, and where it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineChoice {
    /// The engine.
    pub name: EngineName,
    /// Path or URL of its socket; the engine's usual places when absent.
    pub socket: Option<String>,
    /// How the embedded engine reaches registries.
    pub registries: RegistryConfig,
}

impl EngineChoice {
    /// Opens the engine. For one that is a daemon this does not wait for it: it may be down.
    ///
    /// # Errors
    /// When its directories cannot be used, or the socket's address is none.
    pub async fn open(&self, directories: &Directories) -> Result<Arc<dyn Engine>, PortError> {
        match (self.name, &self.socket) {
            (EngineName::Embedded, Some(socket)) => {
                let message = format!("the embedded engine has no socket, and {socket} is given as one");
                let hint = "choose an engine that has one with --engine, or leave --engine-socket out";
                Err(PortError::new(ErrorKind::Config, message).with_hint(hint))
            }
            (EngineName::Embedded, None) => {
                let config = EmbeddedConfig {
                    data_directory: directories.data.clone(),
                    run_directory: directories.run.clone(),
                    program: PathBuf::from("/proc/self/exe"),
                    registries: self.registries.clone(),
                };
                Ok(Arc::new(Embedded::open(config).await?))
            }
            (EngineName::Docker, _) => self.open_daemon(Flavour::Docker, directories),
            (EngineName::Podman, _) => self.open_daemon(Flavour::Podman, directories),
        }
    }

    fn open_daemon(&self, flavour: Flavour, directories: &Directories) -> Result<Arc<dyn Engine>, PortError> {
        let config =
            DockerConfig { flavour, endpoint: self.socket.clone(), data_directory: directories.data.clone() };
        Ok(Arc::new(Docker::open(&config)?))
    }
}
