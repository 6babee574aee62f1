//! Removing what nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use homeostat_files::{disk_usage, remove_tree};
use jiff::Timestamp;

use crate::garbage::{Garbage, Owner};
use crate::store::{LayerState, State};
use crate::{Digest, ImageStore, StoreError};

/// What to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prune {
    /// Cache entries that were used within this time stay, with their layers.
    pub keep_cache_for: Duration,
    /// The time that this is counted up to.
    pub now: Timestamp,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// Knows what is needed. The store is locked while it is asked, and must not be called.
pub trait Needs {
    /// Ids of images that containers use, running or not.
    fn in_use(&self) -> BTreeSet<Digest>;

    /// Whether an image that no container uses stays under this name.
    fn keeps(&self, image: &Unused<'_>) -> bool;
}

/// Nothing is needed.
impl Needs for () {
    fn in_use(&self) -> BTreeSet<Digest> {
        BTreeSet::new()
    }

    fn keeps(&self, _: &Unused<'_>) -> bool {
        false
    }
}

/// An image that no container uses, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused<'a> {
    /// Its id; that of its manifest when it cannot be read.
    pub id: &'a Digest,
    /// The name; `None` when it has none.
    pub reference: Option<&'a str>,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// When it was last used, as [`ImageStore::mark_used`] notes it.
    pub used: Timestamp,
}

/// What was, or would be, removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images, by the names that they had.
    pub images: Vec<PrunedImage>,
    /// Cache entries.
    pub cache: Vec<PrunedCacheEntry>,
    /// How many layers are gone.
    pub layers: usize,
    /// The disk space that was used by what no image and no cache entry had, in bytes.
    pub leftover: u64,
}

/// A name of an image that is gone, and the image with it if that was its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedImage {
    /// Its id; that of its manifest when it could not be read.
    pub id: Digest,
    /// The name; `None` when it had none.
    pub reference: Option<String>,
    /// When it was last used.
    pub used: Timestamp,
    /// The disk space that is free now, in bytes. What several had counts for the first of them.
    pub bytes: u64,
}

/// What an earlier build step had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedCacheEntry {
    /// The digest of its key, in hexadecimal digits.
    pub key: String,
    /// When it was last used.
    pub used: Timestamp,
    /// The disk space that is free now, in bytes.
    pub bytes: u64,
}

impl Pruned {
    /// The disk space that is free now, in bytes.
    pub fn bytes(&self) -> u64 {
        let images = self.images.iter().map(|image| image.bytes);
        images.chain(self.cache.iter().map(|entry| entry.bytes)).sum::<u64>() + self.leftover
    }

    fn count(&mut self, owner: Option<&Owner>, bytes: u64) {
        match owner {
            Some(Owner::Image(index)) => self.images[*index].bytes += bytes,
            Some(Owner::Cache(index)) => self.cache[*index].bytes += bytes,
            None => self.leftover += bytes,
        }
    }
}

impl ImageStore {
    /// Removes images that nobody wants or uses, and the layers, blobs and cache entries that no image, lease or recent
    /// cache entry needs.
    ///
    /// # Guarantees
    /// What a [`crate::Lease`] protects stays. The index forgets an image before anything of it is removed: a kill in
    /// the middle leaves no image with missing parts.
    ///
    /// # Errors
    /// When an image that stays cannot be read, so that nobody knows what it needs: nothing is removed then.
    pub fn prune(&self, request: &Prune, needs: &dyn Needs) -> Result<Pruned, StoreError> {
        let _settling = self.settling();
        let mut state = self.state();
        let Garbage { index, mut pruned, owners, layers, blobs, cache_files } =
            self.garbage(&mut state, request, needs)?;
        pruned.layers = layers.len();
        for blob in &blobs {
            pruned.count(owners.get(blob), fs::metadata(self.blob_path(blob))?.len());
        }
        for (number, file) in cache_files.iter().enumerate() {
            let bytes = if file.is_dir() { disk_usage(file)? } else { fs::metadata(file)?.len() };
            pruned.count(Some(&Owner::Cache(number)), bytes);
        }
        let downloads = self.stale_downloads(&state)?;
        pruned.leftover += downloads.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if request.dry_run {
            drop(state);
            for layer in &layers {
                pruned.count(owners.get(layer), disk_usage(self.layer_path(layer))?);
            }
            return Ok(pruned);
        }
        if index.entries() != state.index.entries() {
            index.save(self.directory())?;
            state.index = index;
        }
        let aside = self.set_aside(&mut state, &layers)?;
        let mut directories = Vec::new();
        for file in blobs.iter().map(|blob| self.blob_path(blob)).chain(cache_files) {
            if file.is_dir() {
                let aside = self.new_path("staging");
                fs::rename(&file, &aside)?;
                directories.push(aside);
            } else {
                fs::remove_file(file)?;
            }
        }
        for (file, _) in downloads {
            remove_tree(file)?;
        }
        // What is aside is nobody's any more: its removal, which takes time, holds nobody up.
        drop(state);
        for (layer, directory) in aside {
            pruned.count(owners.get(&layer), disk_usage(&directory)?);
            remove_tree(&directory)?;
        }
        for directory in directories {
            remove_tree(&directory)?;
        }
        Ok(pruned)
    }

    /// Takes layers out of use, quickly; they are removed later.
    fn set_aside(&self, state: &mut State, layers: &[Digest]) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
        let mut removed = Vec::new();
        for layer in layers {
            let aside = self.new_path("staging");
            fs::rename(self.layer_path(layer), &aside)?;
            removed.push((layer.clone(), aside));
            if let Some(LayerState::Pending(blob)) = state.layers.remove(layer) {
                crate::layer::remove_or_warn(&blob.path);
            }
        }
        state.images.clear();
        Ok(removed)
    }
}
