//! The local image store: OCI images on disk, their layers unpacked for overlayfs, and the build cache.
//!
//! - [`ImageStore`]: one directory with all of it; a standard OCI image layout that other tools can read.
//! - [`StagedLayer`]: a layer while it is being made; an overlay's upper directory that becomes a layer.
//! - [`StorageDriver`], [`Assembly`]: how layers become one tree, and a tree of their files where overlayfs cannot be used.
//! - [`Difference`]: how a tree differs from the layers that it began with.
//! - [`Lease`]: keeps what is being used from being pruned.
//! - [`Download`], [`PulledImage`]: blobs and images that come from a registry.
//! - [`Saved`], [`Load`]: images as archives, to and from other engines.
//! - [`Platform`]: which image of several is for this host.
//! - [`CompressedLayer`]: a layer as registries take it.
//! - [`CacheEntry`]: what an earlier build step left.
//! - [`Archive`]: a tar archive that is no layer, as `ADD` unpacks it.
//! - [`Prune`], [`CheckReport`]: removing what nobody needs, and finding and mending what is damaged.
//!
//! ```text
//! DIR/oci-layout, index.json, blobs/sha256/HEX     the OCI image layout
//!     index.backup                                 index.json once more, with a checksum
//!     layers/HEX/diff                              a layer, unpacked; HEX is that of its diff_id
//!     layers/HEX/complete                          written when all of it is on disk; names its archive if that is foreign
//!     layers/HEX/compressed                        the digest that it has in registries, once it was pushed
//!     cache/HEX                                    build cache entries
//!     whiteouts-are-links                          there where the file system takes no whiteouts as overlayfs has them
//!     retired/                                     damaged layers that may be mounted; removed after a reboot
//!     downloads/HEX                                the beginning of a blob from a registry; kept for a week
//!     ingest/, staging/                            work in progress; emptied at start
//! ```

mod archive;
mod assemble;
mod blobs;
mod cache;
mod changes;
mod check;
mod commit;
mod compressed;
mod compression;
mod difference;
mod digest;
mod docker;
mod document;
mod download;
mod driver;
mod error;
mod export;
mod garbage;
mod image;
mod index;
mod layer;
mod layers;
mod lease;
mod load;
mod marks;
mod mounts;
mod open;
mod platform;
mod prune;
mod pulled;
mod save;
mod store;
mod tar;
mod unpack;
mod usage;
mod writeback;

pub use archive::Archive;
pub use assemble::Assembly;
pub use cache::{CacheEntry, CacheMount};
pub use check::{CheckReport, Finding, Problem};
pub use compressed::{Compressed, CompressedLayer};
pub use difference::{Difference, DifferenceKind};
pub use digest::{Digest, InvalidDigest};
pub use docker::{DockerConfig, Healthcheck, read_config};
pub use download::Download;
pub use driver::StorageDriver;
pub use error::{ArchiveError, LayerError, StoreError, UnpackError};
pub use image::{Image, Layer};
pub use layer::StagedLayer;
pub use lease::Lease;
pub use load::{Load, LoadError, Loaded};
pub use mounts::Sharing;
pub use platform::Platform;
pub use prune::{Needs, Prune, Pruned, PrunedCacheEntry, PrunedImage, Unused};
pub use pulled::PulledImage;
pub use save::{ArchiveFormat, Saved};
pub use store::ImageStore;
pub use unpack::Limits;
pub use usage::StoreUsage;
