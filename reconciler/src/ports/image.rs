//! Images by hand: what an engine has, under which names, what becomes of one that is removed, and archives of them.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::PortError;

/// An image that an engine has, also one without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Digest of its configuration, as `sha256:...`.
    pub id: String,
    /// The names it is known by, as `localhost/web:1`.
    pub references: Vec<String>,
    /// What registries know it by, as `registry.example/web@sha256:...`.
    pub digests: Vec<String>,
    /// When it was made, if it says so.
    pub created: Option<Timestamp>,
    /// What it takes on the disk in bytes, as the engine counts it.
    pub size: u64,
}

/// Everything about one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDetails {
    /// Its names and size.
    #[serde(flatten)]
    pub image: StoredImage,
    /// The operating system it is for: `linux`.
    pub os: String,
    /// The processor it is for, as `amd64`.
    pub architecture: String,
    /// Which of those processors, as `v7`.
    pub variant: Option<String>,
    /// Who made it, if it says so.
    pub author: Option<String>,
    /// How containers of it are run: `config` of the OCI image specification, with what Docker adds to it.
    pub config: serde_json::Value,
    /// The digests of its layers' uncompressed archives, the base first.
    pub layers: Vec<String>,
    /// How it was made, the last step first.
    pub history: Vec<HistoryStep>,
}

/// A step in the making of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStep {
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
    /// The command or instruction.
    pub created_by: String,
    /// What its layer takes in bytes, as the engine counts it; 0 for a step without one.
    pub size: u64,
    /// What its maker says about it.
    pub comment: String,
}

/// What became of an image that was to be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRemoval {
    /// The names that it has lost.
    pub untagged: Vec<String>,
    /// Its id, if it is gone itself.
    pub deleted: Option<String>,
}

/// Which archive images are saved in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// That of `docker save`.
    #[default]
    DockerArchive,
    /// An OCI image layout in a tar archive.
    OciArchive,
}

/// Saves images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveRequest {
    /// What they are called. One that is called by a reference has that in the archive, another has no name there.
    pub names: Vec<String>,
    /// Which archive is written.
    pub format: ArchiveFormat,
}

/// An archive on its way out.
pub type SavedArchive = BoxStream<'static, Result<Bytes, PortError>>;

/// An archive on its way in.
pub type ArchiveToLoad = BoxStream<'static, io::Result<Bytes>>;

/// An image that was in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedImage {
    /// Its id; `None` where the engine tells only the name.
    pub id: Option<String>,
    /// The names that it has got.
    pub references: Vec<String>,
}
