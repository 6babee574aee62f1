//! What the host's configuration says about registries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Where Docker and Podman look for a registry's certificates, in a directory named as the registry.
const CERTIFICATES: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// How registries are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// What is said about single registries, by their names in references: `docker.io`, `registry.example:5000`.
    pub hosts: BTreeMap<String, HostConfig>,
    /// Directories with a directory for each registry whose files `*.crt` are authorities to trust.
    pub certificates: Vec<PathBuf>,
    /// The directory with Docker's `config.json`; the user's own when absent.
    pub credentials: Option<PathBuf>,
    /// When to try again, and when to give up.
    pub patience: Patience,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            hosts: BTreeMap::new(),
            certificates: CERTIFICATES.into_iter().map(PathBuf::from).collect(),
            credentials: None,
            patience: Patience::default(),
        }
    }
}

/// `[registries."HOST"]` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// URLs that are asked before the registry itself, in this order.
    pub mirrors: Vec<String>,
    /// Speak HTTP without TLS. By default only to loopback addresses, and there only without certificates of an own
    /// authority.
    pub plain_http: Option<bool>,
    /// A file with certificates in PEM form, trusted for this registry beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// When to try again, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often the same is tried without getting any further.
    pub attempts: u32,
    /// Time before the second attempt; doubled each time.
    pub first_pause: Duration,
    /// The longest time that a registry may ask for before the next attempt.
    pub longest_pause: Duration,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long nothing may arrive.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_mins(1),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }
}
