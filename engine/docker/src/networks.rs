//! Networks: those that specs declare, and the one that all other containers share.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerSummary, Ipam, IpamConfig, Network as ApiNetwork, NetworkCreateRequest};
use bollard::query_parameters::InspectNetworkOptions;
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use homeostat_spec::{Adopt, ContainerConfig, Network, NetworkMode};

use crate::cache::List;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::names::{engine_name, user_labels};

impl Inner {
    pub(crate) async fn create_network(&self, key: &ResourceKey, network: &Network) -> Result<(), PortError> {
        let what = || format!("network {key} cannot be created");
        let about = |failure: Failure| failure.about(what());
        for name in network.adopt.as_ref().map_or(&[][..], Adopt::written) {
            if let Some((existing, labels)) = self.network(name).await.map_err(about)? {
                return self.take_network(key, network, name, &existing, &labels);
            }
        }
        // What is written is not there: nothing but what has the name that homeostat gives is taken.
        let by_name = network.adopt.as_ref().filter(|adopt| **adopt == Adopt::ByName).cloned();
        let otherwise = Network { adopt: by_name, ..network.clone() };
        let known = self.ledger.network_name(key);
        if let Some((existing, labels)) = self.network(&known).await.map_err(about)? {
            return self.take_network(key, &otherwise, &known, &existing, &labels);
        }
        // One that was adopted is gone: what is created has a name of its own, under which there may be another one.
        self.ledger.forget_network(key)?;
        let own = engine_name(key);
        if let Some((existing, labels)) = self.network(&own).await.map_err(about)? {
            return self.take_network(key, &otherwise, &own, &existing, &labels);
        }
        let request = network_request(&engine_name(key), self.instance.labels(key, &network.labels), network);
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let done = self.answer(api.create_network(request)).await;
        self.changed(List::Networks);
        done.map(drop).map_err(|failure| failure.about(what()))
    }

    /// A network of that name is there: it is the one that is meant, or it can be adopted, or it is in the way.
    fn take_network(
        &self,
        key: &ResourceKey,
        network: &Network,
        name: &str,
        existing: &Network,
        labels: &HashMap<String, String>,
    ) -> Result<(), PortError> {
        let is_ours = self.instance.owner(labels).as_ref() == Some(key) || self.ledger.is_network(key, name);
        let subnet_fits = network.subnet.is_none() || network.subnet == existing.subnet;
        let fits = subnet_fits && network.internal == existing.internal;
        if is_ours && fits {
            return Ok(());
        }
        let refused = |hint: &str| {
            let message =
                format!("network {key} cannot be created: there is a network {name} that is another one");
            Err(PortError::new(ErrorKind::User, message).with_hint(hint))
        };
        match (is_ours, &network.adopt, fits) {
            (true, ..) => refused("remove it first"),
            (false, None, _) => refused("`adopt` with this name takes it over"),
            (false, Some(_), false) => refused("to adopt it, declare its subnet and `internal` as they are"),
            (false, Some(_), true) => {
                self.ledger.adopt_network(key, name)?;
                self.changed(List::Networks);
                Ok(())
            }
        }
    }

    /// The network of this name, as it would be declared, and its labels.
    async fn network(&self, name: &str) -> Result<Option<(Network, HashMap<String, String>)>, Failure> {
        let api = self.api().await?;
        match self.answer(api.inspect_network(name, None::<InspectNetworkOptions>)).await {
            Ok(told) => {
                let labels = told.labels.clone().unwrap_or_default();
                let network =
                    ApiNetwork { ipam: told.ipam, internal: told.internal, ..ApiNetwork::default() };
                Ok(Some((as_declared(&network, &labels), labels)))
            }
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes sure that there is the network that a container without one of its own is on.
    pub(crate) async fn provide_network(&self, network: &NetworkMode) -> Result<(), Failure> {
        if *network != NetworkMode::Bridge {
            return Ok(());
        }
        let _making = self.default_network.lock().await;
        let name = self.instance.default_network();
        if self.network(&name).await?.is_some() {
            return Ok(());
        }
        let plain = Network { subnet: None, internal: false, adopt: None, labels: BTreeMap::new() };
        let api = self.api().await?;
        let request = network_request(&name, self.instance.network_labels(), &plain);
        match self.answer(api.create_network(request)).await {
            // Somebody else has made it meanwhile.
            Err(failure) if failure.is_conflict() => Ok(()),
            done => done.map(drop),
        }
    }

    /// Removes the network that containers without one of their own are on, once there are none.
    pub(crate) async fn release_network(&self, network: &NetworkMode) {
        if *network != NetworkMode::Bridge {
            return;
        }
        let _making = self.default_network.lock().await;
        let Ok(api) = self.api().await else { return };
        // The engine refuses while a container is on it.
        let removed = self.answer(api.remove_network(&self.instance.default_network())).await;
        tracing::debug!(?removed, "the default network");
    }

    pub(crate) async fn remove_network(&self, key: &ResourceKey) -> Result<(), PortError> {
        let name = self.ledger.network_name(key);
        let about = |failure: Failure| failure.about(format!("network {key} cannot be removed"));
        let Some((_, labels)) = self.network(&name).await.map_err(about)? else {
            return self.ledger.forget_network(key);
        };
        let is_ours =
            self.instance.owner(&labels).as_ref() == Some(key) || self.ledger.is_network(key, &name);
        if !is_ours {
            return Ok(());
        }
        // The engine would only refuse while a container on it runs.
        let on_it = |container: &ContainerConfig| container.is_on(&key.name);
        if let Some(user) = self.user(&key.app, on_it).await.map_err(about)? {
            let message = format!("network {key} cannot be removed: container {user} is on it");
            return Err(PortError::new(ErrorKind::User, message));
        }
        if self.ledger.is_network(key, &name) && self.is_used_otherwise(key, &name).await.map_err(about)? {
            self.ledger.forget_network(key)?;
            self.changed(List::Networks);
            return Ok(());
        }
        let api = self.api().await.map_err(about)?;
        let done = self.answer(api.remove_network(&name)).await;
        self.changed(List::Networks);
        match done {
            Err(failure) if !failure.is_not_found() => Err(about(failure)),
            _ => self.ledger.forget_network(key),
        }
    }
}

impl Inner {
    /// Whether somebody else needs a network that was adopted: another app, or a container that is not the app's. The engine
    /// itself only knows of those that run.
    async fn is_used_otherwise(&self, key: &ResourceKey, name: &str) -> Result<bool, Failure> {
        if self.ledger.networks(name).len() > 1 {
            return Ok(true);
        }
        let is_on_it = |container: &&ContainerSummary| {
            let networks =
                container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
            networks.is_some_and(|networks| networks.contains_key(name))
        };
        let listed = self.list_containers().await?;
        Ok(listed.iter().filter(is_on_it).any(|container| {
            let labels = container.labels.clone().unwrap_or_default();
            let adopted = container.id.as_deref().and_then(|id| self.ledger.container(id));
            let owner = adopted.or_else(|| self.instance.owner(&labels));
            owner.is_none_or(|owner| owner.app != key.app)
        }))
    }
}

fn network_request(name: &str, labels: HashMap<String, String>, network: &Network) -> NetworkCreateRequest {
    let subnet = network
        .subnet
        .clone()
        .map(|subnet| vec![IpamConfig { subnet: Some(subnet), ..IpamConfig::default() }]);
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(network.internal),
        ipam: subnet.map(|config| Ipam { config: Some(config), ..Ipam::default() }),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    }
}

/// A network as a spec would declare it.
pub(crate) fn as_declared(network: &ApiNetwork, labels: &HashMap<String, String>) -> Network {
    let ipam = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let subnets = ipam.into_iter().flatten().filter_map(|config| config.subnet.clone());
    Network {
        subnet: subnets.into_iter().find(|subnet| subnet.contains('.')),
        internal: network.internal.unwrap_or_default(),
        adopt: None,
        labels: user_labels(labels, &HashMap::new()),
    }
}
