//! Images: what they are called, and what there is to know of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::Duration;

use homeostat_image::{Digest, Image, Needs, Prune, StoreError, Unused};
use homeostat_reconciler::ports::{HistoryStep, ImageDetails, ImageRemoval, Progress, StoredImage};
use homeostat_reconciler::{ResourceKey, repository, spelled_out};
use jiff::Timestamp;

use crate::EmbeddedError;
use crate::engine::Inner;

/// What a name stands for: an image, by one of its references or otherwise.
pub(crate) struct Named {
    pub(crate) id: Digest,
    pub(crate) reference: Option<String>,
}

impl Inner {
    /// Brings an image here from its registry.
    pub(crate) async fn pull_image(
        &self,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        // What is here under a name that means the same gets the new image: there is one of each.
        let kept = self.known_reference(reference).unwrap_or_else(|| reference.to_owned());
        match self.registries.pull(&self.images, &kept, progress).await {
            Ok(id) => Ok(id.to_string()),
            Err(source) => {
                Err(EmbeddedError::Pull { reference: reference.to_owned(), source: Box::new(source) })
            }
        }
    }

    /// Sends an image to its registry.
    pub(crate) async fn push_image(
        &self,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        let _lease = self.images.lease();
        let unknown = || EmbeddedError::UnknownImage(reference.to_owned());
        let known = self.known_reference(reference).ok_or_else(unknown)?;
        let image = self.images.find(&known)?.ok_or_else(unknown)?;
        let pushed = self.registries.push(&self.images, reference, &image, progress).await;
        let digest = pushed.map_err(|source| EmbeddedError::Push {
            reference: reference.to_owned(),
            source: Box::new(source),
        })?;
        self.images.note_pushed(&known, &digest)?;
        Ok(digest.to_string())
    }

    /// Removes a reference, and what only it needed.
    pub(crate) fn remove_image(&self, reference: &str) -> Result<(), EmbeddedError> {
        let Some(image) = self.images.find(reference)? else { return Ok(()) };
        self.images.untag(reference)?;
        self.discard_if_unused(&image.id)
    }

    /// Removes an image that has no name, if no container uses it, and what only it needed.
    fn discard_if_unused(&self, id: &Digest) -> Result<(), EmbeddedError> {
        // What earlier builds may still be asked for stays, whatever its age: nobody asked for a prune.
        let prune = Prune { keep_cache_for: Duration::MAX, ..Prune::default() };
        self.images.prune(&prune, &AllBut { engine: self, id })?;
        Ok(())
    }

    /// The image with this reference, whether it is spelled out or not, or with this id.
    pub(crate) fn find_image(&self, name: &str) -> Result<Option<Image>, StoreError> {
        // Nearly always it is called as it is kept.
        if let Some(image) = self.images.find(name)? {
            return Ok(Some(image));
        }
        self.known_reference(name).map_or(Ok(None), |reference| self.images.find(&reference))
    }

    /// The reference of an image that is here and means the same.
    pub(crate) fn known_reference(&self, reference: &str) -> Option<String> {
        let known: BTreeSet<String> =
            self.images.list().into_iter().flat_map(|image| image.references).collect();
        let full = spelled_out(reference);
        known.get(reference).cloned().or_else(|| known.into_iter().find(|other| spelled_out(other) == full))
    }

    /// Every image, each once: it may have been brought here with several manifests.
    pub(crate) fn stored_images(&self) -> Vec<StoredImage> {
        let registry_digests = self.images.registry_digests();
        let mut images = BTreeMap::<Digest, StoredImage>::new();
        for image in self.images.list() {
            let digest = |reference: &String| {
                let digest = registry_digests.get(reference)?;
                Some(format!("{}@{digest}", repository(reference)))
            };
            let digests: Vec<String> = image.references.iter().filter_map(digest).collect();
            let stored = images.entry(image.id.clone()).or_insert_with(|| StoredImage {
                id: image.id.to_string(),
                references: Vec::new(),
                digests: Vec::new(),
                created: created(image.config.created().as_deref()),
                size: image.size,
            });
            stored.references.extend(image.references);
            stored.digests.extend(digests);
            stored.digests.sort();
            stored.digests.dedup();
        }
        images.into_values().collect()
    }

    pub(crate) fn named(&self, name: &str) -> Result<Named, EmbeddedError> {
        if let Some(reference) = self.known_reference(name)
            && let Some(image) = self.images.find(&reference)?
        {
            return Ok(Named { id: image.id, reference: Some(reference) });
        }
        let begin = name.strip_prefix("sha256:").unwrap_or(name);
        let is_begin = |id: &str| !begin.is_empty() && id["sha256:".len()..].starts_with(begin);
        let full = name.split_once('@').map(|(_, digest)| format!("{}@{digest}", repository(name)));
        let is_meant = |image: &StoredImage| {
            is_begin(&image.id) || full.as_ref().is_some_and(|full| image.digests.contains(full))
        };
        let mut ids = self.stored_images().into_iter().filter(is_meant).map(|image| image.id);
        match (ids.next().and_then(|id| id.parse().ok()), ids.next()) {
            (Some(id), None) => Ok(Named { id, reference: None }),
            (None, _) => Err(EmbeddedError::UnknownImage(name.to_owned())),
            (Some(_), Some(_)) => Err(EmbeddedError::AmbiguousImage(name.to_owned())),
        }
    }

    /// An image by what people call it.
    pub(crate) fn image(&self, name: &str) -> Result<Image, EmbeddedError> {
        let named = self.named(name)?;
        let found = self.images.find(named.reference.as_deref().unwrap_or(named.id.as_str()))?;
        found.ok_or_else(|| EmbeddedError::UnknownImage(name.to_owned()))
    }

    /// Everything about an image.
    pub(crate) fn inspect_image(&self, name: &str) -> Result<ImageDetails, EmbeddedError> {
        let image = self.image(name)?;
        let mut stored = self.stored_images();
        stored.retain(|stored| stored.id == image.id.as_str());
        let stored = stored.pop().ok_or_else(|| EmbeddedError::UnknownImage(name.to_owned()))?;
        let mut text = Vec::new();
        self.images.open_blob(&image.id)?.read_to_end(&mut text)?;
        // What the configuration says, to the letter: also what nobody here looks at.
        let mut document: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        Ok(ImageDetails {
            image: stored,
            os: image.config.os().to_string(),
            architecture: image.config.architecture().to_string(),
            variant: image.config.variant().clone(),
            author: image.config.author().clone(),
            config: document["config"].take(),
            layers: image.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
            history: history(&image),
        })
    }

    /// Gives an image one more reference.
    pub(crate) fn tag_image(&self, name: &str, reference: &str) -> Result<(), EmbeddedError> {
        let image = self.image(name)?;
        let reference = self.checked_reference(reference)?;
        Ok(self.images.tag(image.id.as_str(), &reference)?)
    }

    /// The form in which a new reference is kept: that of one that means the same, if there is one.
    pub(crate) fn checked_reference(&self, reference: &str) -> Result<String, EmbeddedError> {
        homeostat_registry::check_name(reference)?;
        Ok(self.known_reference(reference).unwrap_or_else(|| reference.to_owned()))
    }

    /// Takes a reference away, and with the last one the image.
    pub(crate) fn delete_image(&self, name: &str) -> Result<ImageRemoval, EmbeddedError> {
        let named = self.named(name)?;
        let mut images = self.stored_images();
        images.retain(|image| image.id == named.id.as_str());
        let references = images.pop().map(|image| image.references).unwrap_or_default();
        if let Some(reference) = &named.reference
            && references.len() > 1
        {
            self.images.untag(reference)?;
            return Ok(ImageRemoval { untagged: vec![reference.clone()], deleted: None });
        }
        if references.len() > 1 {
            return Err(EmbeddedError::SeveralNames { name: name.to_owned(), references });
        }
        let users = self.users(&named.id);
        if !users.is_empty() {
            return Err(EmbeddedError::ImageInUse { name: name.to_owned(), users });
        }
        for reference in &references {
            self.images.untag(reference)?;
        }
        self.discard_if_unused(&named.id)?;
        let deleted = self.images.find(named.id.as_str())?.is_none().then(|| named.id.to_string());
        Ok(ImageRemoval { untagged: references, deleted })
    }

    /// The containers that were created from an image.
    fn users(&self, id: &Digest) -> Vec<ResourceKey> {
        let containers = self.containers();
        let users = containers.iter().filter(|container| container.lock().record.image_id == id.as_str());
        users.map(|container| container.key.clone()).collect()
    }

    /// The images of containers, but of those that are to be removed.
    pub(crate) fn images_in_use(&self, removed: &BTreeSet<ResourceKey>) -> BTreeSet<Digest> {
        let containers = self.containers();
        let stays = containers.iter().filter(|container| !removed.contains(&container.key));
        stays.filter_map(|container| container.lock().record.image_id.parse().ok()).collect()
    }
}

fn created(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// The steps of an image, the last first. One that made a layer has the size of its blob.
fn history(image: &Image) -> Vec<HistoryStep> {
    let mut layers = image.layers.iter();
    let steps = image.config.history().iter().flatten().map(|step| HistoryStep {
        created: created(step.created().as_deref()),
        created_by: step.created_by().clone().unwrap_or_default(),
        size: match step.empty_layer() {
            Some(true) => 0,
            _ => layers.next().map_or(0, |layer| layer.size),
        },
        comment: step.comment().clone().unwrap_or_default(),
    });
    let mut steps: Vec<HistoryStep> = steps.collect();
    steps.reverse();
    steps
}

/// Everything is needed but one image without a name, if no container uses it.
struct AllBut<'a> {
    engine: &'a Inner,
    id: &'a Digest,
}

impl Needs for AllBut<'_> {
    fn in_use(&self) -> BTreeSet<Digest> {
        self.engine.images_in_use(&BTreeSet::new())
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        image.reference.is_some() || image.id != self.id
    }
}
