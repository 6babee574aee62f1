//! What is wanted on this host.

use std::collections::{BTreeMap, BTreeSet};

use homeostat_spec::{
    App, Build, Container, ContainerImage, DependencyCondition, DesiredState, Image, Name, PrunePolicy,
    PullPolicy,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::target::declared;
use crate::{Override, ResourceKey, ResourceKind};

/// Every image that homeostat builds has a reference under this one, and nobody else's has.
pub const LOCAL_REGISTRY: &str = "homeostat.local/";

/// What is wanted on this host: all specs of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The revision of the source.
    pub revision: String,
    /// The apps to converge to. An app whose file is broken is here in its last good state, if there is one.
    pub apps: BTreeMap<Name, App>,
    /// Apps whose file is broken, and what is wrong with it. Nothing of them is removed for
    /// not being declared.
    pub broken: BTreeMap<Name, String>,
    /// What is removed by itself once nobody needs it.
    #[serde(default)]
    pub prune: PrunePolicy,
    /// Whether a source with no specs removes everything. Without it, everything is held back.
    pub allow_empty: bool,
    /// Containers that somebody keeps in another state than declared; see [`ByHand::complete`](crate::ByHand::complete).
    #[serde(default)]
    pub overrides: BTreeMap<ResourceKey, Override>,
    /// What was asked for by hand once and is to go, whether the source is empty or not.
    #[serde(default)]
    pub removed: BTreeSet<ResourceKey>,
    /// What was asked for by hand cannot be read: what is not declared may be that, and is kept.
    #[serde(default)]
    pub by_hand_is_unknown: bool,
}

impl Desired {
    /// The container with this key, if it is declared.
    pub fn container(&self, key: &ResourceKey) -> Option<&Container> {
        self.apps.get(&key.app)?.containers.get(&key.name)
    }

    /// Whether a volume is asked for, or may be: that is not known of an app whose file is broken.
    pub fn declares_volume(&self, key: &ResourceKey) -> bool {
        declared(self, ResourceKind::Volume, key).is_some() || self.protects(&key.app)
    }

    /// Whether there are no specs though that was not allowed: then nothing is removed for not being declared. Apps that
    /// there are only by hand have no file.
    pub fn is_held(&self) -> bool {
        self.apps.values().all(|app| app.file.is_empty()) && self.broken.is_empty() && !self.allow_empty
    }

    /// Whether a resource of an empty source is nevertheless changed: it was asked for by hand, or is taken back.
    pub(crate) fn is_by_hand(&self, kind: ResourceKind, key: &ResourceKey) -> bool {
        declared(self, kind, key).is_some() || self.removed.contains(key)
    }

    /// Whether what is not declared of an app is kept nevertheless: nothing is known of the app but that its file is
    /// broken, or it may have been asked for by hand.
    pub(crate) fn protects(&self, app: &Name) -> bool {
        self.by_hand_is_unknown || self.broken.contains_key(app)
    }

    /// The state that a declared container is wanted in now.
    pub fn wanted_state(&self, key: &ResourceKey, container: &Container) -> DesiredState {
        self.overrides.get(key).map_or(container.state, |kept| kept.state(container.state))
    }

    /// Every declared container.
    pub fn containers(&self) -> impl Iterator<Item = (ResourceKey, &Container)> {
        self.apps.iter().flat_map(|(app, declared)| {
            declared
                .containers
                .iter()
                .map(|(name, container)| (ResourceKey::new(app.clone(), name.clone()), container))
        })
    }

    /// The containers of which others wait until they have completed.
    pub(crate) fn awaited(&self) -> BTreeSet<ResourceKey> {
        let containers = self.containers();
        let awaited = containers.flat_map(|(key, container)| {
            let completed = |(_, condition): &(_, &_)| **condition == DependencyCondition::Completed;
            let names = container.depends_on.iter().filter(completed).map(|(name, _)| name.clone());
            names.map(move |name| ResourceKey::new(key.app.clone(), name))
        });
        awaited.collect()
    }

    /// When the images of containers are pulled, by their references.
    pub(crate) fn pull_policies(&self) -> BTreeMap<String, PullPolicy> {
        let mut policies = BTreeMap::new();
        for (key, container) in self.containers() {
            let policy = policies.entry(self.image_of(&key).unwrap_or_default()).or_insert(container.pull);
            *policy = container.pull.max(*policy);
        }
        policies
    }

    /// The image that the container's app declares for it; `None` where the container names one by its reference.
    pub(crate) fn declared_image(&self, key: &ResourceKey) -> Option<&Image> {
        let app = self.apps.get(&key.app)?;
        match &app.containers.get(&key.name)?.image {
            ContainerImage::Local(name) => app.images.get(name),
            ContainerImage::Reference(_) => None,
        }
    }

    /// The reference of a declared container's image; see [`image_reference`].
    pub fn image_of(&self, key: &ResourceKey) -> Option<String> {
        let app = self.apps.get(&key.app)?;
        Some(image_reference(app, &app.containers.get(&key.name)?.image))
    }
}

/// The reference of an image as a container of `app` names it.
///
/// A local name that the app does not declare (which the compiler refuses) is taken as a reference.
pub fn image_reference(app: &App, image: &ContainerImage) -> String {
    match image {
        ContainerImage::Reference(reference) => reference.clone(),
        ContainerImage::Local(name) => match app.images.get(name) {
            Some(declared) => declared_reference(&app.name, name, declared),
            None => name.to_string(),
        },
    }
}

/// The reference of a declared image.
pub(crate) fn declared_reference(app: &Name, name: &Name, image: &Image) -> String {
    match image {
        Image::Reference(reference) => reference.clone(),
        Image::Build(build) => build_reference(app, name, build),
    }
}

/// The reference that the build of an image gets: `homeostat.local/APP/IMAGE:` and 16 hex digits that
/// stand for everything that goes into it, so that another context or argument is another reference.
pub fn build_reference(app: &Name, image: &Name, build: &Build) -> String {
    let mut hasher = Sha256::new();
    let mut part = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    part(&build.context.digest);
    part(&build.dockerfile);
    part(build.target.as_deref().unwrap_or_default());
    for (name, value) in &build.args {
        part(name);
        part(value);
    }
    let digest = format!("{:x}", hasher.finalize());
    format!("{LOCAL_REGISTRY}{app}/{image}:{}", &digest[..16])
}

/// The name of the app that an image was built for; `None` if homeostat did not build it.
pub(crate) fn builder_of(reference: &str) -> Option<&str> {
    let (app, _) = reference.strip_prefix(LOCAL_REGISTRY)?.split_once('/')?;
    app.parse::<Name>().is_ok().then_some(app)
}
