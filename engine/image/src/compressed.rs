//! Layers compressed for registries, which the store does not do for itself.

use std::io;
use std::path::Path;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::digest::Hashing;
use crate::layer::Ingest;
use crate::{Digest, ImageStore, Layer, StoreError};

/// Beside a layer: what it becomes when it is compressed. It goes with the layer.
const NOTE: &str = "compressed";

/// What a layer becomes when it is compressed by gzip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compressed {
    /// The digest of the compressed blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A layer that was compressed; gone when it is dropped.
#[derive(Debug)]
pub struct CompressedLayer {
    blob: Ingest,
    /// What it has become.
    pub compressed: Compressed,
}

impl CompressedLayer {
    /// The file that has it.
    pub fn path(&self) -> &Path {
        self.blob.file.path()
    }
}

impl ImageStore {
    /// What a layer became when it was last compressed: a registry that has it needs nothing more.
    pub fn known_compressed(&self, layer: &Layer) -> Option<Compressed> {
        let note = fs::read(self.layer_path(&layer.diff_id).join(NOTE)).ok()?;
        serde_json::from_slice(&note).ok()
    }

    /// Compresses a layer whose blob is not, and verifies that. The same layer gives the same bytes.
    ///
    /// # Errors
    /// [`StoreError::BlobDamaged`] when the blob is not what it should be; or the disk is full.
    pub fn compress(&self, layer: &Layer) -> Result<CompressedLayer, StoreError> {
        let blob = Ingest::create(self)?;
        let mut content = Hashing::new(self.open_blob(&layer.digest)?);
        // A header of its own would have a time and a name; this has neither.
        let mut encoder = GzEncoder::new(Hashing::new(&blob.file), Level::default());
        io::copy(&mut content, &mut encoder)?;
        let (_, digest, size) = encoder.finish()?.finish();
        if content.finish().1 != layer.digest {
            return Err(StoreError::BlobDamaged { digest: layer.digest.clone() });
        }
        let compressed = Compressed { digest, size };
        let note = self.layer_path(&layer.diff_id).join(NOTE);
        // One that is torn by a power cut is no JSON, and is made anew.
        if let Err(error) = fs::write(note, serde_json::to_vec(&compressed)?) {
            tracing::debug!(%error, "cannot note what a layer becomes");
        }
        Ok(CompressedLayer { blob, compressed })
    }
}
