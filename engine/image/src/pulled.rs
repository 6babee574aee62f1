//! Images that come from a registry, as they are there.

use std::collections::BTreeMap;

use oci_spec::image::{ImageManifest, MediaType};

use crate::commit::Document;
use crate::docker::read_config;
use crate::image::Layer;
use crate::index::{PulledName, is_manifest};
use crate::{Digest, ImageStore, StoreError};

/// An image whose layers are in the store.
#[derive(Debug, Clone, Copy)]
pub struct PulledImage<'a> {
    /// Its manifest as the registry has it, byte by byte.
    pub manifest: &'a [u8],
    /// Its configuration likewise.
    pub config: &'a [u8],
    /// Its layers, the base first.
    pub layers: &'a [Layer],
    /// The name that it gets.
    pub reference: &'a str,
    /// What the registry has under this name: the manifest's digest, or that of an index with one for each platform.
    pub registry_digest: &'a Digest,
}

impl ImageStore {
    /// Makes an image of what came from a registry, and gives it a name, taking that from the image that has it. Returns
    /// its id. Digests of the manifest and the configuration stay what they are in the registry.
    ///
    /// # Guarantees
    /// As [`ImageStore::commit_image`].
    ///
    /// # Errors
    /// [`StoreError::LayerMissing`] when a layer is not in the store; [`StoreError::Invalid`] when manifest,
    /// configuration and layers do not go together.
    pub fn commit_pulled(&self, pulled: PulledImage<'_>) -> Result<Digest, StoreError> {
        let _lease = self.lease();
        let config = Document::new(pulled.config.to_vec());
        let manifest = Document::new(pulled.manifest.to_vec());
        let media_type = go_together(&manifest, &config, pulled.layers).map_err(|source| {
            StoreError::Invalid { digest: manifest.digest.clone(), what: "image manifest", source }
        })?;
        for layer in pulled.layers {
            if !self.has_layer(&layer.diff_id, &layer.digest) {
                return Err(StoreError::LayerMissing { diff_id: layer.diff_id.clone() });
            }
        }
        for document in [&config, &manifest] {
            self.state().usage.touch(&document.digest);
        }
        self.settle_with(&[&config, &manifest])?;
        let PulledImage { reference, registry_digest, .. } = pulled;
        let name = PulledName { manifest: &manifest.digest, reference, registry_digest };
        let size = manifest.text.len() as u64;
        self.change_index(|index| index.put_pulled(media_type, size, &name))?;
        self.mark_manifest(&manifest.digest);
        Ok(config.digest)
    }

    /// Notes what the registry has under this name since it was pushed there.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn note_pushed(&self, reference: &str, registry_digest: &Digest) -> Result<(), StoreError> {
        self.change_index(|index| index.note_pushed(reference, registry_digest))
    }

    /// The manifest of an image, as it is.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn manifest_text(&self, image: &crate::Image) -> Result<Vec<u8>, StoreError> {
        Ok(self.document(&image.manifest)?.text)
    }

    /// The configuration of an image, as it is.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn config_text(&self, image: &crate::Image) -> Result<Vec<u8>, StoreError> {
        Ok(self.document(&image.id)?.text)
    }

    /// What the registry had under this name when it was pulled; `None` for what was not.
    pub fn registry_digest(&self, reference: &str) -> Option<Digest> {
        let state = self.state();
        let mut digests = state.index.registry_digests();
        digests.find_map(|(name, digest)| (name == reference).then_some(digest))
    }

    /// What the registry had under each name when it was pulled.
    pub fn registry_digests(&self) -> BTreeMap<String, Digest> {
        self.state().index.registry_digests().collect()
    }
}

/// Whether manifest, configuration and layers are of one image; its media type.
pub(crate) fn go_together(
    manifest: &Document,
    config: &Document,
    layers: &[Layer],
) -> Result<MediaType, Box<dyn std::error::Error + Send + Sync>> {
    let read: ImageManifest = serde_json::from_slice(&manifest.text)?;
    let (configuration, _) = read_config(&config.text)?;
    if read.config().digest().as_ref() != config.digest.as_str() {
        return Err("it has another configuration".into());
    }
    let named = read.layers().iter().map(|layer| layer.digest().as_ref());
    let diff_ids = configuration.rootfs().diff_ids().iter().map(String::as_str);
    if !named.eq(layers.iter().map(|layer| layer.digest.as_str()))
        || !diff_ids.eq(layers.iter().map(|layer| layer.diff_id.as_str()))
    {
        return Err("it has other layers".into());
    }
    media_type_of(&read)
}

/// The media type of a manifest, by which it is listed.
pub(crate) fn media_type_of(
    manifest: &ImageManifest,
) -> Result<MediaType, Box<dyn std::error::Error + Send + Sync>> {
    let media_type = manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
    if is_manifest(&media_type) {
        Ok(media_type)
    } else {
        Err(format!("it has the media type {media_type}, which is not that of a manifest").into())
    }
}
