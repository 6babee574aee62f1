//! Reading and checking blobs.

use std::io::{self, Read};
use std::path::PathBuf;

use fs_err as fs;
use oci_spec::image::ImageManifest;

use crate::digest::Hashing;
use crate::docker::read_config;
use crate::image::{Image, Layer};
use crate::{Digest, ImageStore, StoreError};

/// Manifests and configurations larger than this are refused, as registries do.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

impl ImageStore {
    /// Where a blob is, or would be.
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory().join("blobs/sha256").join(digest.hex())
    }

    /// Opens a blob, such as that of a layer to be pushed. Its content is not verified.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`] when the store does not have it.
    pub fn open_blob(&self, digest: &Digest) -> Result<fs::File, StoreError> {
        match fs::File::open(self.blob_path(digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::BlobMissing { digest: digest.clone() })
            }
            done => Ok(done?),
        }
    }

    /// Reads all of a blob and compares its digest.
    pub(crate) fn verify_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let mut content = Hashing::new(self.open_blob(digest)?);
        io::copy(&mut content, &mut io::sink())?;
        let (_, actual, _) = content.finish();
        if actual == *digest { Ok(()) } else { Err(StoreError::BlobDamaged { digest: digest.clone() }) }
    }

    /// What an image's manifest and configuration say, verified by their digests.
    pub(crate) fn read_image(&self, manifest_digest: &Digest) -> Result<Image, StoreError> {
        let text = self.read_document(manifest_digest)?;
        let mut size = text.len() as u64;
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Invalid {
            digest: manifest_digest.clone(),
            what: "image manifest",
            source,
        };
        let manifest: ImageManifest = serde_json::from_slice(&text).map_err(|error| invalid(error.into()))?;
        let digest = |text: &str| text.parse::<Digest>().map_err(|error| invalid(error.into()));
        let id = digest(manifest.config().digest().as_ref())?;
        let text = self.read_document(&id)?;
        size += text.len() as u64;
        let (config, docker) = read_config(&text).map_err(|source| StoreError::Invalid {
            digest: id.clone(),
            what: "image configuration",
            source: source.into(),
        })?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(invalid("it has another number of layers than its configuration".into()));
        }
        let mut layers = Vec::new();
        for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
            let diff_id = digest(diff_id)?;
            layers.push(Layer {
                diff_id,
                digest: digest(descriptor.digest().as_ref())?,
                size: descriptor.size(),
            });
        }
        let size = layers.iter().fold(size, |sum, layer| sum.saturating_add(layer.size));
        Ok(Image {
            id,
            manifest: manifest_digest.clone(),
            references: Vec::new(),
            config,
            docker,
            layers,
            size,
        })
    }

    fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let mut text = Vec::new();
        self.open_blob(digest)?.take(DOCUMENT_LIMIT).read_to_end(&mut text)?;
        if Digest::of(&text) == *digest {
            Ok(text)
        } else {
            Err(StoreError::BlobDamaged { digest: digest.clone() })
        }
    }
}
