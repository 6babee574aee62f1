//! What earlier build steps left.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{Permissions, Root, mark_used};
use serde::{Deserialize, Serialize};

use crate::image::Layer;
use crate::mounts::Sharing;
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

/// A directory that build steps keep, in use as long as this lives.
#[derive(Debug)]
pub struct CacheMount {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is new, and empty.
    pub is_new: bool,
    store: ImageStore,
    name: String,
    number: usize,
}

impl Drop for CacheMount {
    fn drop(&mut self) {
        self.store.mounts().leave(&self.name, self.number);
    }
}

/// What the directory is called on disk.
fn numbered(name: &str, number: usize) -> Digest {
    if number == 0 { Digest::of(name.as_bytes()) } else { Digest::of(format!("{name}\0{number}").as_bytes()) }
}

/// A text among the entries: whoever collects them takes it for one without a layer.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    entry: CacheEntry,
    text: String,
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
        self.cache_write(key, entry)
    }

    fn cache_write(&self, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let path = self.new_path("ingest");
        fs::write(&path, serde_json::to_vec(value)?)?;
        fs::rename(&path, self.cache_path(key))?;
        Ok(())
    }

    /// The text that was last kept under this key by [`ImageStore::cache_note`], if it is still there.
    pub fn cached_note(&self, key: &str) -> Option<String> {
        let path = self.cache_path(key);
        let note: Note = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        if let Err(error) = mark_used(&path) {
            tracing::debug!(error = %chain(&error), "cannot note the use of a cache entry");
        }
        Some(note.text)
    }

    /// Keeps a text under a key that no step has, as long as the cache keeps anything.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn cache_note(&self, key: &str, text: &str) -> Result<(), StoreError> {
        let entry = CacheEntry { layer: None, created: jiff::Timestamp::now() };
        self.cache_write(key, &Note { entry, text: text.to_owned() })
    }

    /// A directory that build steps keep from build to build under this name, shared with others as the mode says. A step
    /// that is cut off leaves in it what it leaves. `None` when it waits for others and was told to wait no more; it asks
    /// whenever they change, and on [`ImageStore::wake_cache_mounts`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cache_mount(
        &self,
        name: &str,
        sharing: Sharing,
        permissions: Permissions,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<CacheMount>, StoreError> {
        let is_there = |number| self.mount_path(&numbered(name, number)).exists();
        let Some(number) = self.mounts().enter(name, sharing, &is_there, is_cancelled) else {
            return Ok(None);
        };
        let mut mount = CacheMount {
            path: PathBuf::new(),
            is_new: false,
            store: self.clone(),
            name: name.to_owned(),
            number,
        };
        let digest = numbered(name, number);
        self.state().usage.touch(&digest);
        let entry = Root::open(self.directory().join("mounts"))?.entry(digest.hex())?;
        mount.is_new = entry.metadata()?.is_none();
        if mount.is_new {
            entry.create_directory(permissions)?;
        }
        mount.path = self.mount_path(&digest);
        if let Err(error) = mark_used(&mount.path) {
            tracing::debug!(error = %chain(&error), "cannot note the use of a cache");
        }
        Ok(Some(mount))
    }

    fn mount_path(&self, digest: &Digest) -> PathBuf {
        self.directory().join("mounts").join(digest.hex())
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
