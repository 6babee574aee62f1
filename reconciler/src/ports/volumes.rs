//! Volumes for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ResourceKey;

/// A volume that an engine has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVolume {
    /// Which one it is.
    pub key: ResourceKey,
    /// Where its content is on the engine's host, if the engine tells that.
    pub path: Option<String>,
    /// When it was created, if that is known.
    pub created: Option<Timestamp>,
    /// What it takes on the disk in bytes, if that is known.
    pub size: Option<u64>,
}
