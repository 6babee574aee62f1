//! What things are called at the engine, and how it is told whose they are.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use homeostat_reconciler::ResourceKey;
use sha2::{Digest as _, Sha256};

/// The label with the app.
pub(crate) const APP: &str = "io.homeostat.app";
/// The label with the name within the app.
pub(crate) const NAME: &str = "io.homeostat.name";
/// The label with the data directory that this belongs to.
pub(crate) const INSTANCE: &str = "io.homeostat.instance";
/// The label with the reference that a container was created from.
pub(crate) const IMAGE: &str = "io.homeostat.image";
/// The label with the configuration that a container was created with, as JSON.
pub(crate) const CONFIG: &str = "io.homeostat.config";
/// All labels of homeostat begin so.
const PREFIX: &str = "io.homeostat.";
/// Labels that Compose sets for itself.
const COMPOSE: &str = "com.docker.compose.";

/// One homeostat on a host that may have several, named after its data directory: none ever touches another's things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    id: String,
    is_default: bool,
}

impl Instance {
    /// The instance of a data directory, given by its canonical path.
    pub(crate) fn of(data_directory: &Path) -> Self {
        let digest = format!("{:x}", Sha256::digest(data_directory.as_os_str().as_encoded_bytes()));
        Self { id: digest[..12].to_owned(), is_default: data_directory == Path::new("/var/lib/homeostat") }
    }

    /// The network that containers without one of their own are on.
    pub(crate) fn default_network(&self) -> String {
        if self.is_default { "homeostat".to_owned() } else { format!("homeostat-{}", self.id) }
    }

    /// Labels of something that belongs to this instance: the user's, and homeostat's own.
    pub(crate) fn labels(
        &self,
        key: &ResourceKey,
        users: &BTreeMap<String, String>,
    ) -> HashMap<String, String> {
        let own = [(APP, key.app.to_string()), (NAME, key.name.to_string()), (INSTANCE, self.id.clone())];
        let own = own.into_iter().map(|(label, value)| (label.to_owned(), value));
        users.iter().map(|(label, value)| (label.clone(), value.clone())).chain(own).collect()
    }

    /// Labels of the default network.
    pub(crate) fn network_labels(&self) -> HashMap<String, String> {
        HashMap::from([(INSTANCE.to_owned(), self.id.clone())])
    }

    /// Which resource something is by its labels, if it belongs to this instance.
    pub(crate) fn owner(&self, labels: &HashMap<String, String>) -> Option<ResourceKey> {
        if labels.get(INSTANCE) != Some(&self.id) {
            return None;
        }
        Some(ResourceKey::new(labels.get(APP)?.parse().ok()?, labels.get(NAME)?.parse().ok()?))
    }
}

/// The name of a container, volume or network at the engine, as Compose names volumes and networks. A name of a
/// resource has no `_`, so that no two keys share one.
pub(crate) fn engine_name(key: &ResourceKey) -> String {
    format!("{}_{}", key.app, key.name)
}

/// The volume or network that is called so unless it was adopted.
pub(crate) fn resource_called(name: &str) -> Option<ResourceKey> {
    let (app, name) = name.split_once('_')?;
    Some(ResourceKey::new(app.parse().ok()?, name.parse().ok()?))
}

/// The labels that a spec would write: without homeostat's own, Compose's, and those that the image has as well.
pub(crate) fn user_labels(
    labels: &HashMap<String, String>,
    of_image: &HashMap<String, String>,
) -> BTreeMap<String, String> {
    let is_users = |label: &str, value: &String| {
        !label.starts_with(PREFIX) && !label.starts_with(COMPOSE) && of_image.get(label) != Some(value)
    };
    let users = labels.iter().filter(|(label, value)| is_users(label, value));
    users.map(|(label, value)| (label.clone(), value.clone())).collect()
}

impl Instance {
    /// The label of images that this homeostat has built.
    pub(crate) fn build_labels(&self) -> HashMap<String, String> {
        HashMap::from([(INSTANCE.to_owned(), self.id.clone())])
    }

    /// Whether an image has it.
    pub(crate) fn has_built(&self, labels: &HashMap<String, String>) -> bool {
        labels.get(INSTANCE) == Some(&self.id)
    }
}
