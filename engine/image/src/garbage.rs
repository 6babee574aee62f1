//! What nobody needs: found while the store is locked, removed afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use jiff::Timestamp;

use crate::cache::CacheEntry;
use crate::index::{Entry, Index};
use crate::prune::{Needs, Prune, Pruned, PrunedCacheEntry, PrunedImage, Unused};
use crate::store::{State, by_manifest, chain};
use crate::{Digest, Image, ImageStore, StoreError};

/// What can go.
pub(crate) struct Garbage {
    /// The index without it.
    pub(crate) index: Index,
    /// What goes, as it is told, without the room that it takes.
    pub(crate) pruned: Pruned,
    /// Whose the parts of what goes are.
    pub(crate) owners: HashMap<Digest, Owner>,
    pub(crate) layers: Vec<Digest>,
    pub(crate) blobs: Vec<Digest>,
    /// In the order of [`Pruned::cache`].
    pub(crate) cache_files: Vec<PathBuf>,
}

/// What a layer or blob is part of: by its place among what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Image(usize),
    Cache(usize),
}

/// What is needed: digests of blobs and layers.
type Roots = BTreeSet<Digest>;

impl Garbage {
    /// The names of an image are gone, and its parts with them if those were all.
    fn tell(
        &mut self,
        parts: impl Iterator<Item = Digest>,
        id: &Digest,
        used: Timestamp,
        gone: &[Option<&str>],
    ) {
        if gone.is_empty() {
            return;
        }
        self.own(parts, Owner::Image(self.pruned.images.len()));
        for name in gone {
            let reference = name.map(str::to_owned);
            self.pruned.images.push(PrunedImage { id: id.clone(), reference, used, bytes: 0 });
        }
    }

    /// What several have is the first one's.
    fn own(&mut self, parts: impl Iterator<Item = Digest>, owner: Owner) {
        for part in parts {
            self.owners.entry(part).or_insert(owner);
        }
    }
}

impl ImageStore {
    pub(crate) fn garbage(
        &self,
        state: &mut State,
        request: &Prune,
        needs: &dyn Needs,
    ) -> Result<Garbage, StoreError> {
        let mut garbage = Garbage {
            index: state.index.clone(),
            pruned: Pruned::default(),
            owners: HashMap::new(),
            layers: Vec::new(),
            blobs: Vec::new(),
            cache_files: Vec::new(),
        };
        self.forget(state, &mut garbage, needs);
        let mut roots = self.roots(state, &garbage.index)?;
        self.stale_cache_entries(state, &mut roots, request, &mut garbage)?;
        let is_garbage = |digest: &&Digest| !roots.contains(digest) && !state.usage.is_protected(digest);
        garbage.layers = state.layers.keys().filter(is_garbage).cloned().collect();
        garbage.blobs = self.blobs()?.into_iter().filter(|blob| is_garbage(&blob)).collect();
        Ok(garbage)
    }

    /// Takes the images out of the index that are not to stay.
    fn forget(&self, state: &mut State, garbage: &mut Garbage, needs: &dyn Needs) {
        let in_use = needs.in_use();
        for (manifest, references) in by_manifest(&garbage.index) {
            let image = state.images.get(&manifest).cloned().or_else(|| self.readable(&manifest));
            if let Some(image) = &image {
                state.images.insert(manifest.clone(), image.clone());
            }
            let id = image.as_ref().map_or(&manifest, |image| &image.id);
            let is_used = [&manifest, id].into_iter().any(|digest| state.usage.is_protected(digest));
            if is_used || in_use.contains(id) {
                continue;
            }
            let labels = image.as_deref().map(labels).unwrap_or_default();
            let used = used(&self.blob_path(&manifest));
            let keeps = |reference| needs.keeps(&Unused { id, reference, labels: &labels, used });
            let names = references.iter().map(|name| Some(name.as_str()));
            let nameless = references.is_empty().then_some(None);
            let gone: Vec<Option<&str>> = names.chain(nameless).filter(|name| !keeps(*name)).collect();
            let goes = |entry: &Entry| gone.contains(&entry.reference.as_deref());
            garbage.index.retain(|entry| entry.manifest != manifest || !goes(entry));
            let parts =
                [id.clone(), manifest.clone()].into_iter().chain(image.iter().flat_map(|image| parts(image)));
            garbage.tell(parts, id, used, &gone);
        }
    }

    pub(crate) fn readable(&self, manifest: &Digest) -> Option<Arc<Image>> {
        self.read_image(manifest)
            .inspect_err(|error| tracing::warn!(%manifest, error = %chain(error), "an image cannot be read"))
            .ok()
            .map(Arc::new)
    }

    /// The blobs and layers of the images in the index.
    fn roots(&self, state: &State, index: &Index) -> Result<Roots, StoreError> {
        let mut roots = Roots::new();
        for manifest in by_manifest(index).into_keys() {
            let image = match state.images.get(&manifest) {
                Some(known) => known.clone(),
                None => self.read_image(&manifest)?.into(),
            };
            roots.extend([image.id.clone(), manifest]);
            roots.extend(parts(&image));
        }
        Ok(roots)
    }

    /// Finds the cache entries that are of no use any more; what the others need is added to the roots.
    fn stale_cache_entries(
        &self,
        state: &State,
        roots: &mut Roots,
        request: &Prune,
        garbage: &mut Garbage,
    ) -> Result<(), StoreError> {
        for file in fs::read_dir(self.directory().join("cache"))? {
            let path = file?.path();
            let entry =
                fs::read(&path).ok().and_then(|text| serde_json::from_slice::<CacheEntry>(&text).ok());
            let used = used(&path);
            // A clock that was set back makes the last use lie in the future: then it counts as recent.
            let unused = Duration::try_from(request.now.duration_since(used)).unwrap_or_default();
            let layer = entry.as_ref().and_then(|entry| entry.layer.as_ref());
            let is_protected = layer.is_some_and(|layer| state.usage.is_protected(&layer.diff_id));
            let is_whole =
                entry.is_some() && layer.is_none_or(|layer| state.layers.contains_key(&layer.diff_id));
            let parts =
                layer.map(|layer| [layer.diff_id.clone(), layer.digest.clone()]).into_iter().flatten();
            if is_whole && (unused < request.keep_cache_for || is_protected) {
                roots.extend(parts);
                continue;
            }
            garbage.own(parts, Owner::Cache(garbage.cache_files.len()));
            let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            garbage.pruned.cache.push(PrunedCacheEntry { key, used, bytes: 0 });
            garbage.cache_files.push(path);
        }
        self.stale_cache_directories(state, request, garbage)
    }

    fn stale_cache_directories(
        &self,
        state: &State,
        request: &Prune,
        garbage: &mut Garbage,
    ) -> Result<(), StoreError> {
        for file in fs::read_dir(self.directory().join("mounts"))? {
            let path = file?.path();
            let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let used = used(&path);
            let unused = Duration::try_from(request.now.duration_since(used)).unwrap_or_default();
            let is_protected = Digest::from_hex(&key).is_ok_and(|name| state.usage.is_protected(&name));
            if unused >= request.keep_cache_for && !is_protected {
                garbage.pruned.cache.push(PrunedCacheEntry { key, used, bytes: 0 });
                garbage.cache_files.push(path);
            }
        }
        Ok(())
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

/// The layers of an image and their blobs.
pub(crate) fn parts(image: &Image) -> impl Iterator<Item = Digest> {
    image.layers.iter().flat_map(|layer| [layer.diff_id.clone(), layer.digest.clone()])
}

fn labels(image: &Image) -> BTreeMap<String, String> {
    let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
    labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// When what a file describes was last used, see [`homeostat_files::mark_used`]. What cannot be told is long ago.
fn used(file: &Path) -> Timestamp {
    let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default()
}
