//! Making images.

use std::io::{self, Read as _};
use std::path::Path;

use fs_err as fs;
use homeostat_files::{FileSystem, sync_directory};
use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageManifestBuilder, MediaType, RootFsBuilder, SCHEMA_VERSION,
    Sha256Digest,
};

use crate::compression::Compression;
use crate::document::canonical_json;
use crate::image::Layer;
use crate::open::completion;
use crate::store::{LayerState, PendingBlob, chain};
use crate::{Digest, DockerConfig, ImageStore, StoreError};

/// A configuration or manifest to be stored.
pub(crate) struct Document {
    pub(crate) digest: Digest,
    pub(crate) text: Vec<u8>,
}

impl Document {
    pub(crate) fn new(text: Vec<u8>) -> Self {
        Self { digest: Digest::of(&text), text }
    }
}

impl ImageStore {
    /// Makes an image of layers, the base first, and gives it a name, taking that from the image that has it. Returns
    /// its id.
    ///
    /// The layers in `config.rootfs` are replaced by these. The same configuration and layers give the same id.
    ///
    /// # Guarantees
    /// When this returns, a power cut loses nothing of the image. The index names it only when all of it is on disk.
    ///
    /// # Errors
    /// [`StoreError::LayerMissing`] when a layer is not in the store.
    pub fn commit_image(
        &self,
        config: ImageConfiguration,
        layers: &[Layer],
        reference: Option<&str>,
    ) -> Result<Digest, StoreError> {
        self.commit_docker_image(config, &DockerConfig::default(), layers, reference)
    }

    /// [`ImageStore::commit_image`] with what Docker adds to a configuration.
    ///
    /// # Errors
    /// As [`ImageStore::commit_image`].
    pub fn commit_docker_image(
        &self,
        mut config: ImageConfiguration,
        docker: &DockerConfig,
        layers: &[Layer],
        reference: Option<&str>,
    ) -> Result<Digest, StoreError> {
        let _lease = self.lease();
        for layer in layers {
            if !self.use_layer(&layer.diff_id) {
                return Err(StoreError::LayerMissing { diff_id: layer.diff_id.clone() });
            }
            self.state().usage.touch(&layer.digest);
        }
        let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        config
            .set_rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(invalid)?);
        let mut config = serde_json::to_value(&config)?;
        docker.add_to(&mut config)?;
        let config = Document::new(canonical_json(&config)?);
        let manifest = Document::new(self.manifest(&config, layers)?);
        for document in [&config, &manifest] {
            self.state().usage.touch(&document.digest);
        }
        self.settle_with(&[&config, &manifest])?;
        let size = manifest.text.len() as u64;
        self.change_index(|index| index.put(&manifest.digest, size, reference))?;
        self.mark_manifest(&manifest.digest);
        Ok(config.digest)
    }

    /// Writes all layers to disk for good that are not yet: for the cache's sake, after a build that failed.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.settle_with(&[])
    }

    /// Layers first, then their completion and the documents that name them: at no moment does anything on disk promise
    /// what is not there. Two syncfs, whatever the number of layers and files.
    pub(crate) fn settle_with(&self, documents: &[&Document]) -> Result<(), StoreError> {
        let disk = self.settling();
        let missing: Vec<_> = documents.iter().filter(|document| !self.is_stored(document)).collect();
        let pending = self.pending();
        if missing.is_empty() && pending.is_empty() {
            return Ok(());
        }
        if !pending.is_empty() {
            self.write_out(&disk)?;
        }
        let mut settled = Vec::new();
        for (diff_id, blob) in pending {
            if self.complete(&diff_id, &blob)? {
                settled.push(diff_id);
            }
        }
        let mut written = Vec::new();
        for document in missing {
            let path = self.new_path("ingest");
            fs::write(&path, &document.text)?;
            written.push((path, document));
        }
        self.write_out(&disk)?;
        for (path, document) in written {
            fs::rename(path, self.blob_path(&document.digest))?;
        }
        sync_directory(self.directory().join("blobs/sha256"))?;
        let mut state = self.state();
        for diff_id in settled {
            if let Some(layer) = state.layers.get_mut(&diff_id) {
                *layer = LayerState::Complete;
            }
        }
        Ok(())
    }

    /// Writes everything to disk. The kernel tells of what it could not write once, and takes it for written from then on:
    /// whatever was not on disk for good before is given up, lest a later commit finds nothing wrong with it.
    fn write_out(&self, disk: &FileSystem) -> Result<(), StoreError> {
        let Err(failure) = disk.sync() else { return Ok(()) };
        let mut state = self.state();
        state.failures += 1;
        let pending = state.layers.extract_if(.., |_, layer| *layer != LayerState::Complete);
        for (diff_id, layer) in pending.collect::<Vec<_>>() {
            let LayerState::Pending(blob) = layer else { continue };
            if let Err(error) = self.retire_layer(&diff_id) {
                tracing::warn!(%diff_id, error = %chain(&error), "a layer that was not written stays until the next opening");
            }
            for path in [blob.path, self.blob_path(&blob.digest)] {
                forget(&path);
            }
        }
        // The disk that has just failed may not list them either; the failure is what is told.
        for download in fs::read_dir(self.directory().join("downloads")).into_iter().flatten().flatten() {
            forget(&download.path());
        }
        Err(failure.into())
    }

    /// Moves the blob of a layer, whose files are on disk, to the others, and marks it complete. Says whether the layer
    /// is still there: it may have been pruned meanwhile.
    fn complete(&self, diff_id: &Digest, blob: &PendingBlob) -> Result<bool, StoreError> {
        let state = self.state();
        if state.layers.get(diff_id) != Some(&LayerState::Pending(blob.clone())) {
            return Ok(false);
        }
        // Already moved by an attempt that failed later.
        if blob.path.exists() {
            fs::rename(&blob.path, self.blob_path(&blob.digest))?;
        }
        fs::write(self.layer_path(diff_id).join("complete"), completion(diff_id, &blob.archive))?;
        Ok(true)
    }

    fn pending(&self) -> Vec<(Digest, PendingBlob)> {
        let state = self.state();
        let pending = |(diff_id, layer): (&Digest, &LayerState)| match layer {
            LayerState::Pending(blob) => Some((diff_id.clone(), blob.clone())),
            LayerState::Complete => None,
        };
        state.layers.iter().filter_map(pending).collect()
    }

    fn is_stored(&self, document: &Document) -> bool {
        fs::read(self.blob_path(&document.digest)).is_ok_and(|text| text == document.text)
    }

    /// The manifest of an image with these layers.
    pub(crate) fn manifest(&self, config: &Document, layers: &[Layer]) -> Result<Vec<u8>, StoreError> {
        let descriptor = |media_type, digest: &Digest, size| {
            let digest: Sha256Digest = digest.hex().parse().expect("a digest of ours is a sha256 digest");
            Descriptor::new(media_type, size, digest)
        };
        let mut descriptors = Vec::new();
        for layer in layers {
            descriptors.push(descriptor(self.media_type(layer)?, &layer.digest, layer.size));
        }
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(MediaType::ImageConfig, &config.digest, config.text.len() as u64))
            .layers(descriptors)
            .build()
            .map_err(invalid)?;
        Ok(canonical_json(&manifest)?)
    }

    /// A blob with another digest than the archive is a compressed one.
    fn media_type(&self, layer: &Layer) -> Result<MediaType, StoreError> {
        if layer.digest == layer.diff_id {
            return Ok(MediaType::ImageLayer);
        }
        let pending = match self.state().layers.get(&layer.diff_id) {
            Some(LayerState::Pending(blob)) if blob.digest == layer.digest => Some(blob.path.clone()),
            _ => None,
        };
        let blob = match pending {
            Some(path) => fs::File::open(path)?,
            None => self.open_blob(&layer.digest)?,
        };
        let mut start = Vec::new();
        blob.take(Compression::MAGIC).read_to_end(&mut start)?;
        // Nothing else was unpacked.
        Ok(Compression::of(&start).media_type().unwrap_or(MediaType::ImageLayer))
    }
}

fn invalid(source: oci_spec::OciSpecError) -> StoreError {
    StoreError::Io(io::Error::other(source))
}

/// Removes a blob that may not have been written.
fn forget(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(error = %chain(&error), "a blob that was not written stays until it comes again");
        }
        _ => {}
    }
}
