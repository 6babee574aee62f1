//! What containers are connected to: asked for, and told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkConnectRequest,
    NetworkingConfig,
};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::{ContainerConfig, Endpoint, Name, NetworkMode};

use crate::engine::Inner;
use crate::failure::Failure;

/// The label by which Compose knows the service that a container is one of.
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

impl Inner {
    /// The engine's word for what a container is connected to.
    pub(crate) fn network_mode(&self, key: &ResourceKey, network: &NetworkMode) -> String {
        match network {
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Bridge => self.instance.default_network(),
            NetworkMode::Named(name) => {
                self.ledger.network_name(&ResourceKey::new(key.app.clone(), name.clone()))
            }
        }
    }

    /// The network that a container is created on: before API 1.44 it can be only one.
    pub(crate) fn first_network(
        &self,
        key: &ResourceKey,
        config: &ContainerConfig,
    ) -> Option<NetworkingConfig> {
        let (network, endpoint) = config.connections().next()?;
        let endpoints =
            HashMap::from([(self.network_mode(key, &network), settings(key, &network, &endpoint))]);
        Some(NetworkingConfig { endpoints_config: Some(endpoints) })
    }

    /// Connects a container that was created to the other networks that it is on.
    pub(crate) async fn connect_further(
        &self,
        key: &ResourceKey,
        id: &str,
        config: &ContainerConfig,
    ) -> Result<(), Failure> {
        for (network, endpoint) in config.connections().skip(1) {
            let request = NetworkConnectRequest {
                container: id.to_owned(),
                endpoint_config: Some(settings(key, &network, &endpoint)),
            };
            let api = self.api().await?;
            self.answer(api.connect_network(&self.network_mode(key, &network), request)).await?;
        }
        Ok(())
    }

    /// What a container is connected to: what it was created for, as long as it still is, and what else.
    pub(crate) fn connected(
        &self,
        host: &HostConfig,
        inspect: &ContainerInspectResponse,
        key: Option<&ResourceKey>,
    ) -> (NetworkMode, BTreeMap<Name, Endpoint>) {
        let mode = host.network_mode.as_deref().unwrap_or("default");
        let networks = inspect.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        match mode {
            "host" => return (NetworkMode::Host, BTreeMap::new()),
            "none" => return (NetworkMode::None, BTreeMap::new()),
            _ => {}
        }
        // Podman tells `bridge` for any: the networks themselves tell which.
        let connected: BTreeSet<&str> = match networks {
            Some(networks) => networks.keys().map(String::as_str).collect(),
            None => BTreeSet::from([mode]),
        };
        let of_app = |network: &ResourceKey| key.is_some_and(|key| key.app == network.app);
        let declared = |name: &str| {
            let network = self.ledger.networks_called(name).into_iter().find(of_app);
            network.map(|network| network.name)
        };
        let named: BTreeSet<Name> = connected.iter().filter_map(|name| declared(name)).collect();
        let default = self.instance.default_network();
        let is_shared = |name: &str| [default.as_str(), "bridge", "podman", mode].contains(&name);
        let by_mode = Some(mode).filter(|mode| connected.contains(mode)).and_then(declared);
        let network = match by_mode {
            Some(name) => NetworkMode::Named(name),
            None if connected.iter().any(|name| is_shared(name)) => NetworkMode::Bridge,
            None => named.first().cloned().map_or(NetworkMode::None, NetworkMode::Named),
        };
        let told = endpoints(inspect, key);
        let endpoint = |name: &Name| {
            let name = self.ledger.network_name(&ResourceKey::new(key?.app.clone(), name.clone()));
            told.get(&name).cloned()
        };
        let mut networks: BTreeMap<Name, Endpoint> =
            named.into_iter().map(|name| (name.clone(), endpoint(&name).unwrap_or_default())).collect();
        networks
            .retain(|name, endpoint| network != NetworkMode::Named(name.clone()) || !endpoint.is_default());
        (network, networks)
    }
}

/// How a container is on each of its networks, by the engine's names of those. Names by which it is found anyway are left out.
pub(crate) fn endpoints(
    inspect: &ContainerInspectResponse,
    key: Option<&ResourceKey>,
) -> BTreeMap<String, Endpoint> {
    let labels = inspect.config.as_ref().and_then(|config| config.labels.as_ref());
    let own: Vec<String> = [
        inspect.id.as_ref().map(|id| id.chars().take(12).collect()),
        inspect.name.as_ref().map(|name| name.trim_start_matches('/').to_owned()),
        key.map(|key| key.name.to_string()),
        labels.and_then(|labels| labels.get(COMPOSE_SERVICE)).cloned(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let networks = inspect.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let endpoint = |told: &EndpointSettings| {
        let aliases = told.aliases.iter().flatten().filter(|alias| !own.contains(alias));
        let asked = told.ipam_config.as_ref().and_then(|asked| asked.ipv4_address.as_ref());
        Endpoint {
            aliases: aliases.map(|alias| alias.to_ascii_lowercase()).collect(),
            address: asked.and_then(|address| address.parse().ok()),
        }
    };
    networks.into_iter().flatten().map(|(name, told)| (name.clone(), endpoint(told))).collect()
}

/// What a container is connected to that was asked for, with what somebody has changed since then.
pub(crate) fn connected_since(
    asked: &ContainerConfig,
    actual: &ContainerConfig,
) -> (NetworkMode, BTreeMap<Name, Endpoint>) {
    let networks = |config: &ContainerConfig| {
        let other = Some(config.network.clone()).filter(|mode| !matches!(mode, NetworkMode::Named(_)));
        (other, config.app_networks().cloned().collect::<BTreeSet<_>>())
    };
    if networks(asked) == networks(actual) {
        return (asked.network.clone(), asked.networks.clone());
    }
    (actual.network.clone(), actual.networks.clone())
}

/// On a network of its app a container is known by its name and its aliases; on the one that all apps share, where two may have
/// the same, by `NAME.APP`.
fn settings(key: &ResourceKey, network: &NetworkMode, endpoint: &Endpoint) -> EndpointSettings {
    let name = match network {
        NetworkMode::Bridge => format!("{}.{}", key.name, key.app),
        NetworkMode::Named(_) | NetworkMode::Host | NetworkMode::None => key.name.to_string(),
    };
    let address = endpoint.address.map(|address| EndpointIpamConfig {
        ipv4_address: Some(address.to_string()),
        ..EndpointIpamConfig::default()
    });
    EndpointSettings {
        aliases: Some(std::iter::once(name).chain(endpoint.aliases.iter().cloned()).collect()),
        ipam_config: address,
        ..EndpointSettings::default()
    }
}
