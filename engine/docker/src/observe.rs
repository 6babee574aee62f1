//! What is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use homeostat_reconciler::{
    ContainerState, ForeignContainer, LOCAL_REGISTRY, Observed, ObservedContainer, ObservedImage,
    ResourceKey, repository, spelled_out,
};
use homeostat_spec::{ContainerConfig, Name, Network};

use crate::cache::List;
use crate::connection::ANSWER;
use crate::engine::Inner;
use crate::failure::Failure;
use crate::read::{ImageDefaults, Seen, image_id};
use crate::told;

/// So many containers are asked about at once.
const AT_ONCE: usize = 8;

impl Inner {
    /// Everything that exists now. The list of containers is always asked for, which also tells whether the engine
    /// answers; of the rest only what is not known any more.
    pub(crate) async fn observe(&self) -> Result<Observed, Failure> {
        let connection = self.connection().await?;
        let (containers, images, volumes, networks) = futures::try_join!(
            Box::pin(self.observe_containers()),
            Box::pin(self.observe_images()),
            Box::pin(self.observe_volumes()),
            Box::pin(self.observe_networks()),
        )?;
        Ok(Observed {
            containers,
            images,
            volumes: volumes.into_iter().collect(),
            networks,
            abilities: connection.abilities.clone(),
            ..Observed::default()
        })
    }

    /// The containers that are homeostat's.
    pub(crate) async fn observe_containers(
        &self,
    ) -> Result<BTreeMap<ResourceKey, ObservedContainer>, Failure> {
        let listed = self.list_containers().await?;
        let ids: BTreeSet<&str> = listed.iter().filter_map(|container| container.id.as_deref()).collect();
        self.cache().retain_containers(|id| ids.contains(id));
        let ours = listed.iter().filter(|container| self.is_ours(container));
        let looks: Vec<_> = ours.map(|container| self.look_at(container)).collect();
        let seen: Vec<Option<Arc<Seen>>> =
            stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
        let keyed = seen.iter().flatten().filter_map(|seen| Some((seen.key.clone()?, seen.observed.clone())));
        Ok(keyed.collect())
    }

    pub(crate) async fn list_containers(&self) -> Result<Vec<ContainerSummary>, Failure> {
        let api = self.api().await?;
        self.hear_within(ANSWER, told::containers(&api, &self.endpoint, false)).await
    }

    fn is_ours(&self, container: &ContainerSummary) -> bool {
        let labelled = container.labels.as_ref().is_some_and(|labels| self.instance.owner(labels).is_some());
        labelled || container.id.as_deref().is_some_and(|id| self.ledger.container(id).is_some())
    }

    /// What is known of a listed container, if the list does not say that it has changed; else what is told now.
    pub(crate) async fn look_at(&self, listed: &ContainerSummary) -> Result<Option<Arc<Seen>>, Failure> {
        let id = listed.id.as_deref().unwrap_or_default();
        let known = self.cache().container(id);
        match known.filter(|seen| is_still(seen, listed)) {
            Some(seen) => Ok(Some(seen)),
            None => self.inspect(id).await,
        }
    }

    /// What the engine tells of a container; `None` if there is none of that name or id.
    pub(crate) async fn inspect(&self, name: &str) -> Result<Option<Arc<Seen>>, Failure> {
        let api = self.api().await?;
        let moment = self.cache().moment();
        let asked = told::container(&api, &self.endpoint, name);
        let inspected = match self.hear_within(ANSWER, asked).await {
            Ok(inspected) => inspected,
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let defaults = self.defaults(inspected.image.as_deref().unwrap_or_default()).await?;
        let seen = Arc::new(self.seen(inspected, &defaults));
        self.cache().keep_container(moment, &seen.observed.id, &seen);
        Ok(Some(seen))
    }

    /// What an image says. One that is gone says nothing.
    async fn defaults(&self, image: &str) -> Result<Arc<ImageDefaults>, Failure> {
        if let Some(known) = self.cache().defaults(image) {
            return Ok(known);
        }
        let api = self.api().await?;
        match self.answer(api.inspect_image(image)).await {
            Ok(told) => {
                let defaults = Arc::new(ImageDefaults::of(told));
                self.cache().keep_defaults(image, &defaults);
                Ok(defaults)
            }
            Err(failure) if failure.is_not_found() => Ok(Arc::default()),
            Err(failure) => Err(failure),
        }
    }

    async fn observe_images(&self) -> Result<BTreeMap<String, ObservedImage>, Failure> {
        if let Some(known) = self.cache().images.get() {
            return Ok(known);
        }
        let api = self.api().await?;
        let moment = self.cache().moment();
        let options = ListImagesOptionsBuilder::default().all(false).build();
        let listed = self.answer(api.list_images(Some(options))).await?;
        let mut images = BTreeMap::new();
        for image in listed {
            // What was built here has no digest at a registry, whatever Podman tells.
            let is_local =
                |name: &&String| name.starts_with("localhost/") || name.starts_with(LOCAL_REGISTRY);
            let digests = image.repo_digests.iter().filter(|name| !is_local(name));
            let digests: Vec<String> = digests.map(|name| spelled_out(name)).collect();
            let observed = |name: &str| ObservedImage {
                id: image_id(&image.id),
                size: image.size.try_into().unwrap_or_default(),
                digest: digest_of(name, &digests),
            };
            // An image without a name is listed with this one.
            let tags = image.repo_tags.iter().map(|name| spelled_out(name));
            let names = tags.chain(digests.iter().cloned()).filter(|name| !name.contains("<none>"));
            images.extend(names.map(|name| (name.clone(), observed(&name))));
        }
        self.cache().keep_images(moment, &images);
        Ok(images)
    }

    async fn observe_volumes(&self) -> Result<Vec<ResourceKey>, Failure> {
        if let Some(known) = self.cache().volumes.get() {
            return Ok(known);
        }
        let api = self.api().await?;
        let moment = self.cache().moment();
        let listed = self.answer(api.list_volumes(None::<ListVolumesOptions>)).await?;
        let keys: Vec<ResourceKey> =
            listed.volumes.unwrap_or_default().iter().flat_map(|volume| self.owners_of(volume)).collect();
        self.cache().keep_volumes(moment, &keys);
        Ok(keys)
    }

    async fn observe_networks(&self) -> Result<BTreeMap<ResourceKey, Network>, Failure> {
        if let Some(known) = self.cache().networks.get() {
            return Ok(known);
        }
        let api = self.api().await?;
        let moment = self.cache().moment();
        let listed = self.answer(api.list_networks(None::<ListNetworksOptions>)).await?;
        let mut networks = BTreeMap::new();
        for network in listed {
            let labels = network.labels.clone().unwrap_or_default();
            let adopted = network.name.as_deref().map(|name| self.ledger.networks(name)).unwrap_or_default();
            let declared = crate::networks::as_declared(&network, &labels);
            let keys = adopted.into_iter().chain(self.instance.owner(&labels));
            networks.extend(keys.map(|key| (key, declared.clone())));
        }
        self.cache().keep_networks(moment, &networks);
        Ok(networks)
    }

    /// Containers that are not homeostat's, by these names.
    pub(crate) async fn find_foreign(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ForeignContainer>, Failure> {
        let connection = self.connection().await?;
        let listed = self.list_containers().await?;
        let mut found = BTreeMap::new();
        let by_name: HashMap<&str, &ContainerSummary> = listed
            .iter()
            .flat_map(|container| {
                container.names.iter().flatten().map(move |name| (name.as_str(), container))
            })
            .collect();
        for name in names {
            let listed = by_name.get(format!("/{name}").as_str()).or_else(|| by_name.get(name.as_str()));
            let Some(listed) = listed.filter(|container| !self.is_ours(container)) else { continue };
            if let Some(seen) = self.look_at(listed).await? {
                found.insert(name.clone(), self.foreign(&seen, &connection.abilities));
            }
        }
        Ok(found)
    }

    /// The first container of an app whose configuration is so.
    pub(crate) async fn user(
        &self,
        app: &Name,
        uses: impl Fn(&ContainerConfig) -> bool,
    ) -> Result<Option<ResourceKey>, Failure> {
        let containers = self.observe_containers().await?;
        let found =
            containers.into_iter().find(|(key, container)| key.app == *app && uses(&container.config));
        Ok(found.map(|(key, _)| key))
    }

    /// Forgets everything that is told of a list.
    pub(crate) fn changed(&self, list: List) {
        self.cache().forget(list);
    }
}

/// The digest that the registry has for a name: that of the same repository.
fn digest_of(name: &str, digests: &[String]) -> Option<String> {
    let same = digests.iter().find(|digest| repository(digest) == repository(name))?;
    same.split_once('@').map(|(_, digest)| digest.to_owned())
}

/// Whether the list tells nothing new of a container.
fn is_still(seen: &Seen, listed: &ContainerSummary) -> bool {
    let state = listed.state.as_ref().map(ToString::to_string).unwrap_or_default();
    matches!(
        (state.as_str(), seen.observed.state),
        ("created", ContainerState::Created)
            | ("running", ContainerState::Running)
            | ("paused", ContainerState::Paused)
            | ("exited", ContainerState::Exited)
    )
}
