//! The configuration file, and how it goes together with options and environment.
//!
//! An option on the command line wins over `HOMEOSTAT_*` in the environment, that over the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_registry::{HostConfig, RegistryConfig};
use homeostat_spec::HostPrune;
use serde::Deserialize;

use crate::engines::EngineName;

/// Where the configuration is when `--config` does not say.
pub const DEFAULT_FILE: &str = "/etc/homeostat/config.toml";

/// `/etc/homeostat/config.toml`. Keys are those of the options, with `_` for `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// See `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// See `--run-dir`.
    pub run_dir: Option<PathBuf>,
    /// See `--engine`.
    pub engine: Option<EngineName>,
    /// See `--engine-socket`.
    pub engine_socket: Option<String>,
    /// See `agent --source`.
    pub source: Option<String>,
    /// See `agent --branch`.
    pub branch: Option<String>,
    /// See `agent --path`.
    pub path: Option<String>,
    /// See `agent --interval`.
    pub interval: Option<String>,
    /// See `agent --listen`.
    pub listen: Option<std::net::SocketAddr>,
    /// How to log in to the git server.
    #[serde(default)]
    pub git: GitCredentials,
    /// Variables of this host; they win over those of `homeostat.toml`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How registries are reached, by their names in references.
    #[serde(default)]
    pub registries: BTreeMap<String, HostConfig>,
    /// What is pruned on this host; it wins over `[prune]` of `homeostat.toml`, key by key.
    #[serde(default)]
    pub prune: HostPrune,
}

/// `[git]` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitCredentials {
    /// User for HTTPS; SSH takes the user of the URL.
    pub username: Option<String>,
    /// File with a password or token for HTTPS.
    pub password_file: Option<PathBuf>,
    /// Private key for SSH.
    pub ssh_key: Option<PathBuf>,
    /// Known hosts for SSH; `/etc/ssh/ssh_known_hosts` and root's own when absent.
    pub known_hosts: Option<PathBuf>,
}

impl ConfigFile {
    /// How the embedded engine reaches registries.
    pub fn registries(&self) -> RegistryConfig {
        RegistryConfig { hosts: self.registries.clone(), ..RegistryConfig::default() }
    }

    /// Reads a configuration file. Without `path`, [`DEFAULT_FILE`] is read if it is there.
    ///
    /// # Errors
    /// When the file cannot be read or has an error; the message names the line.
    pub fn read(path: Option<&Path>) -> Result<Self, PortError> {
        let file = path.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match fs_err::read_to_string(file) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(
                    PortError::new(ErrorKind::Config, "the configuration could not be read").caused_by(error)
                );
            }
        };
        toml::from_str(&text).map_err(|error| {
            PortError::new(ErrorKind::Config, format!("{} has an error", file.display())).caused_by(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use homeostat_spec::PruneKind;

    use super::*;

    #[test]
    fn the_example_names_every_key_and_none_that_is_not_there() {
        let example = include_str!("../../packaging/config.toml");
        let is_setting = |line: &&str| line.starts_with('[') || line.contains(" = ");
        let settings: Vec<&str> =
            example.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_setting).collect();
        let file: ConfigFile = toml::from_str(&settings.join("\n")).unwrap();
        let git = &file.git;
        assert!(file.data_dir.is_some() && file.run_dir.is_some() && file.listen.is_some());
        assert!(file.engine.is_some() && file.engine_socket.is_some());
        assert!(
            file.source.is_some() && file.branch.is_some() && file.path.is_some() && file.interval.is_some()
        );
        assert!(git.username.is_some() && git.password_file.is_some() && !file.variables.is_empty());
        assert!(git.ssh_key.is_some() && git.known_hosts.is_some());
        let registry = &file.registries["docker.io"];
        assert!(!registry.mirrors.is_empty() && registry.plain_http.is_some() && registry.ca_file.is_some());
        assert!(file.prune.others && file.prune.policy.interval.is_some());
        assert!(file.prune.policy.disk.start.is_some() && file.prune.policy.disk.stop.is_some());
        assert_eq!(file.prune.policy.rules.len(), PruneKind::ALL.len());
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs_err::write(&path, "source = \"/specs\"\nsuorce = 1\n").unwrap();
        let error = ConfigFile::read(Some(&path)).unwrap_err();
        let text = homeostat_reconciler::chain(&error);
        assert!(text.contains("suorce") && text.contains("line 2"), "{text}");
    }
}
