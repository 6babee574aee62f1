//! Pushing an image.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use homeostat_image::{CompressedLayer, Digest, Image, ImageStore, Layer};
use homeostat_reconciler::ports::{Progress, ProgressStep};
use oci_spec::image::{Descriptor, ImageManifest, MediaType, Sha256Digest};

use crate::RegistryError;
use crate::clients::Clients;
use crate::endpoint::endpoints;
use crate::manifest::Blob;
use crate::pull::{AT_ONCE, Registries, blocking};
use crate::reference::{Reference, Version};
use crate::repository::{Access, Repository};
use crate::telling::Telling;
use crate::upload::{Content, Sending};

/// A push that goes on.
struct Push<'a> {
    store: &'a ImageStore,
    repository: Repository,
    /// Repositories of the same registry that should have a blob.
    elsewhere: HashMap<Digest, String>,
    progress: &'a dyn Progress,
}

impl Registries {
    /// Sends an image of the store to the registry that its reference names, never to a mirror, and gives the digest that
    /// it has there. Layers that the registry has are not sent again, or taken from another of its repositories.
    ///
    /// Layers that are not compressed in the store are compressed on the way, by gzip; the manifest then is another than
    /// the store's. An image that was pulled keeps its own, to the byte.
    ///
    /// # Assumptions
    /// The caller has held a [`homeostat_image::Lease`] since before it found the image.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn push(
        &self,
        store: &ImageStore,
        reference: &str,
        image: &Image,
        progress: &dyn Progress,
    ) -> Result<Digest, RegistryError> {
        let target = Reference::parse(reference)?;
        let Version::Tag(tag) = &target.version else {
            let (reference, reason) = (reference.to_owned(), "an image is pushed under a tag");
            return Err(RegistryError::InvalidReference { reference, reason });
        };
        let push = Push {
            store,
            repository: self.repository(&target)?,
            elsewhere: elsewhere(store, &target),
            progress,
        };
        let sent = push.layers(&image.layers).await?;
        let config = store.config_text(image)?;
        push.config(&image.id, &config).await?;
        let manifest = manifest(store.manifest_text(image)?, &image.layers, &sent)?;
        let digest = Digest::of(&manifest);
        let read: ImageManifest =
            serde_json::from_slice(&manifest).map_err(|error| RegistryError::document("manifest", error))?;
        let media_type = read.media_type().clone().unwrap_or(MediaType::ImageManifest).to_string();
        let announced = push.repository.put_manifest(tag, &media_type, &manifest).await?;
        match announced {
            Some(announced) if announced != digest.as_str() => Err(RegistryError::WrongDigest {
                host: push.repository.host().to_owned(),
                expected: digest.to_string(),
                actual: announced,
            }),
            _ => Ok(digest),
        }
    }

    /// The repository at the registry itself.
    fn repository(&self, target: &Reference) -> Result<Repository, RegistryError> {
        let clients = Arc::new(Clients::new(Arc::clone(&self.config)));
        let itself = endpoints(&self.config, &target.registry)?.pop();
        let endpoint = itself.expect("the registry itself is the last of its endpoints");
        let (name, patience) = (target.repository.clone(), self.config.patience);
        Ok(Repository::new(endpoint, name, clients, patience, Access::Push))
    }
}

impl Push<'_> {
    /// Sends the layers, several at once, each once; and says what each of them is in the registry.
    async fn layers(&self, layers: &[Layer]) -> Result<HashMap<Digest, Blob>, RegistryError> {
        let mut seen = HashSet::new();
        let each = layers.iter().filter(|layer| seen.insert(&layer.digest)).cloned();
        let each: Vec<Layer> = each.collect();
        let total = each.len();
        let sent = stream::iter(each.into_iter().enumerate()).map(|(number, layer)| {
            let text = layer.digest.as_str().to_owned();
            self.progress.step(&ProgressStep { number: number + 1, total, stage: None, text });
            self.sent(layer)
        });
        sent.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Sends a layer; says which it was, and what it is in the registry.
    async fn sent(&self, layer: Layer) -> Result<(Digest, Blob), RegistryError> {
        let blob = self.layer(&layer).await?;
        Ok((layer.digest, blob))
    }

    async fn layer(&self, layer: &Layer) -> Result<Blob, RegistryError> {
        let stored = Blob { digest: layer.digest.clone(), size: layer.size };
        if layer.digest != layer.diff_id {
            let path = self.store.open_blob(&layer.digest)?.path().to_owned();
            self.blob(&stored, Some(path)).await?;
            return Ok(stored);
        }
        if let Some(known) = self.store.known_compressed(layer) {
            let blob = Blob { digest: known.digest, size: known.size };
            if self.blob(&blob, None).await? {
                return Ok(blob);
            }
        }
        let (store, compressing) = (self.store.clone(), layer.clone());
        let telling = Telling::new(self.progress, &stored);
        telling.say("is compressed");
        let made: CompressedLayer = blocking(move || Ok(store.compress(&compressing)?)).await?;
        let blob = Blob { digest: made.compressed.digest.clone(), size: made.compressed.size };
        self.blob(&blob, Some(made.path().to_owned())).await?;
        Ok(blob)
    }

    /// Sees to it that the registry has a blob; says whether it has it, where there is no file to be sent.
    async fn blob(&self, blob: &Blob, file: Option<PathBuf>) -> Result<bool, RegistryError> {
        let telling = Telling::new(self.progress, blob);
        if self.repository.has(blob).await? {
            telling.say("is there");
            return Ok(true);
        }
        if let Some(from) = self.elsewhere.get(&blob.digest)
            && self.repository.mount(blob, from).await?
        {
            telling.say(&format!("is taken from {from}"));
            return Ok(true);
        }
        let Some(file) = file else { return Ok(false) };
        self.repository.upload(Sending { blob, content: Content::File(&file) }, &telling).await?;
        telling.say("done");
        Ok(true)
    }

    async fn config(&self, digest: &Digest, text: &[u8]) -> Result<(), RegistryError> {
        let blob = Blob { digest: digest.clone(), size: text.len() as u64 };
        if self.repository.has(&blob).await? {
            return Ok(());
        }
        let telling = Telling::new(self.progress, &blob);
        self.repository.upload(Sending { blob: &blob, content: Content::Text(text) }, &telling).await
    }
}

/// The manifest for the registry: the image's own, unless layers were compressed for it.
fn manifest(own: Vec<u8>, layers: &[Layer], sent: &HashMap<Digest, Blob>) -> Result<Vec<u8>, RegistryError> {
    if layers.iter().all(|layer| sent[&layer.digest].digest == layer.digest) {
        return Ok(own);
    }
    let invalid = |error: serde_json::Error| RegistryError::document("manifest", error);
    let mut manifest: ImageManifest = serde_json::from_slice(&own).map_err(invalid)?;
    let described = layers.iter().zip(manifest.layers()).map(|(layer, described)| {
        let blob = &sent[&layer.digest];
        if blob.digest == layer.digest {
            return described.clone();
        }
        let digest: Sha256Digest = blob.digest.hex().parse().expect("a digest of ours is a sha256 digest");
        Descriptor::new(MediaType::ImageLayerGzip, blob.size, digest)
    });
    let described: Vec<Descriptor> = described.collect();
    manifest.set_layers(described);
    serde_json::to_vec(&manifest).map_err(invalid)
}

/// Where else in the registry blobs should be: in the repositories that images here were pulled from or pushed to.
fn elsewhere(store: &ImageStore, target: &Reference) -> HashMap<Digest, String> {
    let mut found = HashMap::new();
    for image in store.list() {
        for reference in &image.references {
            let Ok(other) = Reference::parse(reference) else { continue };
            let is_near = other.registry == target.registry && other.repository != target.repository;
            if !is_near || store.registry_digest(reference).is_none() {
                continue;
            }
            for layer in &image.layers {
                let compressed = store.known_compressed(layer).map(|compressed| compressed.digest);
                for digest in [Some(layer.digest.clone()), compressed].into_iter().flatten() {
                    found.insert(digest, other.repository.clone());
                }
            }
        }
    }
    found
}
