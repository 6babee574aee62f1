//! What the store knows about an image.

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use crate::{Digest, DockerConfig};

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of its configuration: what Docker and Podman call the image's id.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The names it is known by, sorted. Empty for an image that lost its name to a newer one.
    pub references: Vec<String>,
    /// How to run it, and how it was made.
    pub config: ImageConfiguration,
    /// What Docker adds to that.
    pub docker: DockerConfig,
    /// Its layers, the base first.
    pub layers: Vec<Layer>,
    /// What its layers, configuration and manifest take in the store's blobs, in bytes.
    pub size: u64,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its uncompressed archive.
    pub diff_id: Digest,
    /// The digest of its blob; the same where the blob is not compressed.
    pub digest: Digest,
    /// The size of its blob in bytes.
    pub size: u64,
}
