//! The local image store: OCI images on disk, their layers unpacked for overlayfs, and the build cache.
//!
//! - [`ImageStore`]: one directory with all of it; a standard OCI image layout that other tools can read.
//! - [`StagedLayer`]: a layer while it is being made; an overlay's upper directory that becomes a layer.
//! - [`Lease`]: keeps what is being used from being pruned.
//! - [`Download`], [`PulledImage`]: blobs and images that come from a registry.
//! - [`CacheEntry`]: what an earlier build step left.
//! - [`Archive`]: a tar archive that is no layer, as `ADD` unpacks it.
//! - [`Prune`], [`CheckReport`]: removing what nobody needs, and finding and mending what is damaged.
//!
//! ```text
//! DIR/oci-layout, index.json, blobs/sha256/HEX     the OCI image layout
//!     index.backup                                 index.json once more, with a checksum
//!     layers/HEX/diff                              a layer, unpacked; HEX is that of its diff_id
//!     layers/HEX/complete                          written when all of it is on disk; names its archive if that is foreign
//!     cache/HEX                                    build cache entries
//!     retired/                                     damaged layers that may be mounted; removed after a reboot
//!     downloads/HEX                                the beginning of a blob from a registry; kept for a week
//!     ingest/, staging/                            work in progress; emptied at start
//! ```

mod archive;
mod blobs;
mod cache;
mod check;
mod commit;
mod compression;
mod digest;
mod docker;
mod document;
mod download;
mod error;
mod garbage;
mod image;
mod index;
mod layer;
mod lease;
mod open;
mod prune;
mod pulled;
mod store;
mod tar;
mod unpack;

pub use archive::Archive;
pub use cache::CacheEntry;
pub use check::{CheckReport, Finding, Problem};
pub use digest::{Digest, InvalidDigest};
pub use docker::{DockerConfig, Healthcheck};
pub use download::Download;
pub use error::{LayerError, StoreError, UnpackError};
pub use image::{Image, Layer};
pub use layer::StagedLayer;
pub use lease::Lease;
pub use prune::{Needs, Prune, Pruned, PrunedCacheEntry, PrunedImage, Unused};
pub use pulled::PulledImage;
pub use store::ImageStore;
pub use unpack::Limits;
