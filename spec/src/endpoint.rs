//! How containers are on networks of their app.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{ContainerConfig, Name, NetworkMode};

/// How a container is on a network of its app. The default is what the engine chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Names by which containers of the network find it beside its own, in lower case.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
    /// Its address on the network; chosen by the engine when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
}

impl Endpoint {
    /// Whether it asks for nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl ContainerConfig {
    /// The networks of its app that the container is on: first that of `network`, then the others by name.
    pub fn app_networks(&self) -> impl Iterator<Item = &Name> {
        let first = match &self.network {
            NetworkMode::Named(name) => Some(name),
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => None,
        };
        first.into_iter().chain(self.networks.keys().filter(move |name| Some(*name) != first))
    }

    /// Whether the container is on this network of its app.
    pub fn is_on(&self, network: &Name) -> bool {
        self.app_networks().any(|name| name == network)
    }

    /// Every network that the container is on, `network` first, and how.
    pub fn connections(&self) -> impl Iterator<Item = (NetworkMode, Endpoint)> {
        let shared =
            (self.network == NetworkMode::Bridge).then(|| (NetworkMode::Bridge, Endpoint::default()));
        let named = self.app_networks().map(|name| {
            (NetworkMode::Named(name.clone()), self.networks.get(name).cloned().unwrap_or_default())
        });
        shared.into_iter().chain(named)
    }
}
