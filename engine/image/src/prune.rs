//! Removing what nobody needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use homeostat_files::{FileError, Root, remove_tree};

use crate::cache::CacheEntry;
use crate::index::Index;
use crate::store::{LayerState, State, by_manifest, chain};
use crate::{Digest, ImageStore, StoreError};

/// What is to stay.
#[derive(Debug, Clone, Default)]
pub struct Prune {
    /// Ids of images that containers use, running or not, or that a rollback needs.
    pub in_use: BTreeSet<Digest>,
    /// References that are wanted.
    pub keep: BTreeSet<String>,
    /// Cache entries that were used within this time stay, with their layers.
    pub keep_cache_for: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was, or would be, removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names of images that are gone, sorted.
    pub references: Vec<String>,
    /// How many layers are gone.
    pub layers: usize,
    /// How many cache entries are gone.
    pub cache_entries: usize,
    /// The disk space that is free now, in bytes.
    pub bytes: u64,
}

/// What can go.
struct Garbage {
    /// The index without it.
    index: Index,
    references: Vec<String>,
    layers: Vec<Digest>,
    blobs: Vec<PathBuf>,
    cache_entries: Vec<PathBuf>,
}

/// What is needed: digests of blobs and layers.
type Roots = BTreeSet<Digest>;

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
    pub fn prune(&self, request: &Prune) -> Result<Pruned, StoreError> {
        let _settling = self.settling();
        let mut state = self.state();
        let garbage = self.garbage(&mut state, request)?;
        let mut pruned = Pruned {
            references: garbage.references,
            layers: garbage.layers.len(),
            cache_entries: garbage.cache_entries.len(),
            bytes: 0,
        };
        let files = || garbage.blobs.iter().chain(&garbage.cache_entries);
        for file in files() {
            pruned.bytes += fs::metadata(file)?.len();
        }
        if request.dry_run {
            drop(state);
            for layer in &garbage.layers {
                pruned.bytes += disk_usage(&self.layer_path(layer))?;
            }
            return Ok(pruned);
        }
        if garbage.index.entries() != state.index.entries() {
            garbage.index.save(self.directory())?;
            state.index = garbage.index;
        }
        let aside = self.set_aside(&mut state, &garbage.layers)?;
        for file in files() {
            fs::remove_file(file)?;
        }
        // What is aside is nobody's any more: its removal, which takes time, holds nobody up.
        drop(state);
        for directory in aside {
            pruned.bytes += disk_usage(&directory)?;
            remove_tree(&directory)?;
        }
        Ok(pruned)
    }

    fn garbage(&self, state: &mut State, request: &Prune) -> Result<Garbage, StoreError> {
        let mut index = state.index.clone();
        let references = self.forget(state, &mut index, request);
        let mut roots = self.roots(state, &index)?;
        let cache_entries = self.stale_cache_entries(state, &mut roots, request.keep_cache_for)?;
        let is_garbage = |digest: &&Digest| !roots.contains(digest) && !state.usage.is_protected(digest);
        let layers = state.layers.keys().filter(is_garbage).cloned().collect();
        let blobs = self.blobs()?.iter().filter(is_garbage).map(|blob| self.blob_path(blob)).collect();
        Ok(Garbage { index, references, layers, blobs, cache_entries })
    }

    /// Takes the images out of the index that are not to stay; returns their names.
    fn forget(&self, state: &mut State, index: &mut Index, request: &Prune) -> Vec<String> {
        let mut stays = BTreeSet::new();
        for manifest in by_manifest(index).into_keys() {
            if state.usage.is_protected(&manifest) {
                stays.insert(manifest);
                continue;
            }
            let Some(known) = state.images.get(&manifest).cloned().or_else(|| self.readable(&manifest))
            else {
                continue;
            };
            let id = known.id.clone();
            state.images.insert(manifest.clone(), known);
            if request.in_use.contains(&id) || state.usage.is_protected(&id) {
                stays.insert(manifest);
            }
        }
        let wanted =
            |reference: &Option<String>| reference.as_ref().is_some_and(|name| request.keep.contains(name));
        let removed = index.retain(|entry| stays.contains(&entry.manifest) || wanted(&entry.reference));
        let mut references: Vec<_> = removed.into_iter().filter_map(|entry| entry.reference).collect();
        references.sort();
        references
    }

    fn readable(&self, manifest: &Digest) -> Option<std::sync::Arc<crate::Image>> {
        self.read_image(manifest)
            .inspect_err(|error| tracing::warn!(%manifest, error = %chain(error), "an image cannot be read"))
            .ok()
            .map(std::sync::Arc::new)
    }

    /// The blobs and layers of the images in the index.
    fn roots(&self, state: &mut State, index: &Index) -> Result<Roots, StoreError> {
        let mut roots = Roots::new();
        for manifest in by_manifest(index).into_keys() {
            let image = match state.images.get(&manifest) {
                Some(known) => known.clone(),
                None => self.read_image(&manifest)?.into(),
            };
            roots.extend([image.id.clone(), manifest]);
            for layer in &image.layers {
                roots.extend([layer.diff_id.clone(), layer.digest.clone()]);
            }
        }
        Ok(roots)
    }

    /// The files of cache entries that are of no use any more; what the others need is added to the roots.
    fn stale_cache_entries(
        &self,
        state: &State,
        roots: &mut Roots,
        keep_for: Duration,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        let now = SystemTime::now();
        for file in fs::read_dir(self.directory().join("cache"))? {
            let file = file?;
            let entry =
                fs::read(file.path()).ok().and_then(|text| serde_json::from_slice::<CacheEntry>(&text).ok());
            // A clock that was set back makes the last use lie in the future: then it counts as recent.
            let unused = now.duration_since(file.metadata()?.modified()?).unwrap_or_default();
            let layer = entry.as_ref().and_then(|entry| entry.layer.as_ref());
            let is_protected = layer.is_some_and(|layer| state.usage.is_protected(&layer.diff_id));
            let is_whole =
                entry.is_some() && layer.is_none_or(|layer| state.layers.contains_key(&layer.diff_id));
            if !is_whole || (unused >= keep_for && !is_protected) {
                files.push(file.path());
            } else if let Some(layer) = layer {
                roots.extend([layer.diff_id.clone(), layer.digest.clone()]);
            }
        }
        Ok(files)
    }

    /// Takes layers out of use, quickly; they are removed later.
    fn set_aside(&self, state: &mut State, layers: &[Digest]) -> Result<Vec<PathBuf>, StoreError> {
        let mut removed = Vec::new();
        for layer in layers {
            let aside = self.new_path("staging");
            fs::rename(self.layer_path(layer), &aside)?;
            removed.push(aside);
            if let Some(LayerState::Pending(blob)) = state.layers.remove(layer) {
                crate::layer::remove_or_warn(&blob);
            }
        }
        state.images.clear();
        Ok(removed)
    }

    /// The digests of all blobs. Files with other names are somebody else's.
    pub(crate) fn blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let mut blobs = Vec::new();
        for file in fs::read_dir(self.directory().join("blobs/sha256"))? {
            if let Some(digest) = file?.file_name().to_str().and_then(|name| Digest::from_hex(name).ok()) {
                blobs.push(digest);
            }
        }
        Ok(blobs)
    }
}

/// The disk space in use by a directory and everything in it, in bytes.
fn disk_usage(path: &Path) -> Result<u64, FileError> {
    fn add(tree: &Root) -> Result<u64, FileError> {
        let mut bytes = 0;
        for name in tree.read_directory("")? {
            let Some(metadata) = tree.symlink_metadata(&name)? else { continue };
            if metadata.is_directory() {
                bytes += metadata.allocated + add(&tree.subtree(&name)?)?;
            } else {
                // Each name of a file counts its part of it.
                bytes += metadata.allocated / u64::from(metadata.links.max(1));
            }
        }
        Ok(bytes)
    }
    add(&Root::open(path)?)
}
