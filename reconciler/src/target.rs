//! A digest of what is wanted of a resource, to tell whether a failure was about the same.

use sha2::{Digest, Sha256};

use crate::desired::declared_reference;
use crate::{Desired, ResourceId, ResourceKey, ResourceKind};

/// A digest of what is wanted of a resource. Two equal ones ask for the same.
pub(crate) fn target(desired: &Desired, resource: &ResourceId) -> String {
    match resource {
        ResourceId::Image(name) | ResourceId::File(name) => name.clone(),
        ResourceId::Declared(kind, key) => {
            declared(desired, *kind, key).unwrap_or_else(|| "absent".to_owned())
        }
    }
}

/// A digest of what is declared of a resource; `None` when nothing is.
pub(crate) fn declared(desired: &Desired, kind: ResourceKind, key: &ResourceKey) -> Option<String> {
    let app = desired.apps.get(&key.app)?;
    match kind {
        ResourceKind::Container => {
            let container = app.containers.get(&key.name)?;
            let wanted = digest(&(container, desired.image_of(key)));
            // Asked for anew, it is tried anew.
            Some(desired.overrides.get(key).map_or(wanted.clone(), |kept| digest(&(wanted, kept))))
        }
        ResourceKind::Image => {
            app.images.get(&key.name).map(|image| declared_reference(&key.app, &key.name, image))
        }
        ResourceKind::Network => app.networks.get(&key.name).map(digest),
        ResourceKind::Volume => app.volumes.get(&key.name).map(|volume| digest(&volume.adopt)),
        ResourceKind::File => None,
    }
}

fn digest<T: serde::Serialize>(value: &T) -> String {
    // The model's maps have text keys, so that it is always JSON.
    let text = serde_json::to_vec(value).unwrap_or_default();
    format!("{:x}", Sha256::digest(text))
}
