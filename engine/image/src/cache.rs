//! What earlier build steps left.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{Permissions, Root, mark_used};
use serde::{Deserialize, Serialize};

use crate::image::Layer;
use crate::store::chain;
use crate::{Digest, ImageStore, StoreError};

/// What a build step left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// The layer that it made; none where it changed no file.
    pub layer: Option<Layer>,
    /// When it ran: the same image comes out of the cache as came out of the build.
    pub created: jiff::Timestamp,
}

impl ImageStore {
    /// What the build step with this key left. A step whose layer is gone, or whose entry is damaged, is not known.
    pub fn cache_get(&self, key: &str) -> Option<CacheEntry> {
        let path = self.cache_path(key);
        let entry = read_entry(&path)?;
        if let Some(layer) = &entry.layer {
            let mut state = self.state();
            if !state.layers.contains_key(&layer.diff_id) {
                return None;
            }
            state.usage.touch(&layer.diff_id);
            state.usage.touch(&layer.digest);
        }
        if let Err(error) = mark_used(&path) {
            tracing::debug!(error = %chain(&error), "cannot note the use of a cache entry");
        }
        Some(entry)
    }

    /// Remembers what the build step with this key left. A power cut may lose it; that costs a run of the step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cache_put(&self, key: &str, entry: &CacheEntry) -> Result<(), StoreError> {
        let path = self.new_path("ingest");
        fs::write(&path, serde_json::to_vec(entry)?)?;
        fs::rename(&path, self.cache_path(key))?;
        Ok(())
    }

    /// A directory that build steps keep from build to build under this name, and whether it is new. A step that is
    /// cut off leaves in it what it leaves.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cache_directory(
        &self,
        name: &str,
        permissions: Permissions,
    ) -> Result<(PathBuf, bool), StoreError> {
        let digest = Digest::of(name.as_bytes());
        self.state().usage.touch(&digest);
        let mounts = Root::open(self.directory().join("mounts"))?;
        let entry = mounts.entry(digest.hex())?;
        let is_new = entry.metadata()?.is_none();
        if is_new {
            entry.create_directory(permissions)?;
        }
        let path = self.directory().join("mounts").join(digest.hex());
        if let Err(error) = mark_used(&path) {
            tracing::debug!(error = %chain(&error), "cannot note the use of a cache");
        }
        Ok((path, is_new))
    }

    /// Keys hold whatever the builder puts into them: their digest is a safe name.
    fn cache_path(&self, key: &str) -> PathBuf {
        self.directory().join("cache").join(Digest::of(key.as_bytes()).hex())
    }
}

/// The cache entry in a file; `None` when it is damaged, or not there.
pub(crate) fn read_entry(path: &Path) -> Option<CacheEntry> {
    let text = fs::read(path).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::debug!(%error, path = %path.display(), "a cache entry is damaged"))
        .ok()
}
