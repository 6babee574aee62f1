//! The store and its images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use homeostat_files::FileSystem;
use homeostat_files::lock::{self, Lock};

use crate::driver;
use crate::image::Image;
use crate::index::Index;
use crate::lease::{Lease, Usage};
use crate::marks::Marks;
use crate::mounts::Mounts;
use crate::open::{Archive, recover};
use crate::writeback::Writeback;
use crate::{Digest, Layer, StorageDriver, StoreError};

/// The local image store: one directory, used by one process at a time. Clones share it, from any thread.
///
/// # Guarantees
/// A kill or power cut at any moment leaves every image whole that was listed before, and nothing else that a later
/// [`ImageStore::open`] does not remove. An image is listed only when all of it is on disk.
///
/// # Assumptions
/// The directory lies on one file system. One that overlayfs can write to (ext4, XFS, Btrfs, but not another overlay) is much
/// faster: see [`StorageDriver`].
#[derive(Debug, Clone)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    state: Mutex<State>,
    /// Held while what is pending is written to disk.
    settling: Mutex<FileSystem>,
    writeback: Writeback,
    mounts: Mounts,
    driver: StorageDriver,
    marks: Marks,
    next_name: AtomicU64,
    _lock: Lock,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) layers: BTreeMap<Digest, LayerState>,
    /// Images that were read already, by manifest; without their references.
    pub(crate) images: BTreeMap<Digest, Arc<Image>>,
    pub(crate) usage: Usage,
    /// How often the disk has failed to write.
    pub(crate) failures: u64,
}

/// Whether a layer has survived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerState {
    /// All of it is on disk.
    Complete,
    /// It can be used, but a power cut would lose it.
    Pending(PendingBlob),
}

/// The blob of a layer, which waits to be synchronized and moved to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingBlob {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) archive: Archive,
}

impl ImageStore {
    /// Opens the store in `directory`, creating it if it is missing, and removes what was left unfinished.
    ///
    /// The directory becomes accessible to its owner only: layers hold setuid programs and devices.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open; [`StoreError::NotALayout`] when it is something else.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        // Mounts outlive a change of the working directory.
        let directory = fs::canonicalize(directory)?;
        let lock = lock::exclusive(directory.join("store.lock"))?;
        let state = Mutex::new(recover(&directory)?);
        let settling = Mutex::new(FileSystem::of(&directory)?);
        let writeback = Writeback::new(FileSystem::of(&directory)?);
        let (next_name, mounts) = (AtomicU64::new(1), Mounts::default());
        let (driver, marks) = driver::find(&directory)?;
        let inner =
            Inner { directory, state, settling, writeback, mounts, driver, marks, next_name, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the store is.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// How layers become one tree here.
    pub fn driver(&self) -> &StorageDriver {
        &self.inner.driver
    }

    /// How layers say here what they hide.
    pub(crate) fn marks(&self) -> Marks {
        self.inner.marks
    }

    /// Protects what is used from [`ImageStore::prune`] until it is dropped.
    pub fn lease(&self) -> Lease {
        Lease::new(self.clone())
    }

    /// All images, in no particular order. One that cannot be read is left out and logged; [`ImageStore::check`] says
    /// more.
    pub fn list(&self) -> Vec<Image> {
        let mut state = self.state();
        let mut images = Vec::new();
        for (manifest, references) in by_manifest(&state.index) {
            match self.image(&mut state, &manifest, references) {
                Ok(image) => images.push(image),
                Err(error) => tracing::warn!(%manifest, error = %chain(&error), "an image cannot be read"),
            }
        }
        images
    }

    /// The image with this reference, exactly as it was given at commit, or with this id.
    ///
    /// # Errors
    /// When the image is there but cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Image>, StoreError> {
        let mut state = self.state();
        let mut manifests = by_manifest(&state.index);
        if let Some(manifest) = state.index.manifest(name) {
            let references = manifests.remove(&manifest).unwrap_or_default();
            return self.image(&mut state, &manifest, references).map(Some);
        }
        let Ok(id) = name.parse::<Digest>() else { return Ok(None) };
        for (manifest, references) in manifests {
            match self.image(&mut state, &manifest, references) {
                Ok(image) if image.id == id => return Ok(Some(image)),
                // It may be another's: the one that was asked for is looked for all the same.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Where the layers of an image are, the top one first, as overlayfs takes them. A layer that is missing is unpacked
    /// again from its blob. Of a layer that comes twice only the upper one is named.
    ///
    /// # Errors
    /// When a layer is missing and cannot be unpacked.
    pub fn layer_directories(&self, image: &Image) -> Result<Vec<PathBuf>, StoreError> {
        self.directories_of(&image.layers)
    }

    /// [`ImageStore::layer_directories`] of layers that are no image yet, the base first.
    ///
    /// # Errors
    /// As [`ImageStore::layer_directories`].
    pub fn directories_of(&self, layers: &[Layer]) -> Result<Vec<PathBuf>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut directories = Vec::new();
        for layer in layers.iter().rev() {
            // Overlayfs refuses a directory that comes twice. What the lower one would add, the upper one has.
            if !seen.insert(&layer.diff_id) {
                continue;
            }
            if !self.use_layer(&layer.diff_id) {
                self.restore_layer(layer)?;
            }
            directories.push(self.layer_path(&layer.diff_id).join("diff"));
        }
        Ok(directories)
    }

    /// Gives an image one more name, taking it from the image that has it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`] when `name` is no reference or id of an image.
    pub fn tag(&self, name: &str, reference: &str) -> Result<(), StoreError> {
        let image = self.find(name)?.ok_or_else(|| StoreError::NoSuchImage { name: name.to_owned() })?;
        let size = fs::metadata(self.blob_path(&image.manifest))?.len();
        self.change_index(|index| index.put(&image.manifest, size, Some(reference)))
    }

    /// Takes a name away, and says whether it was there. The image stays until it is pruned.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn untag(&self, reference: &str) -> Result<bool, StoreError> {
        if self.state().index.manifest(reference).is_none() {
            return Ok(false);
        }
        self.change_index(|index| index.take_name(reference))
    }

    /// Forgets an image under all its names, and says which those were. Its space is free after the next
    /// [`ImageStore::prune`].
    ///
    /// # Errors
    /// [`StoreError::NoSuchImage`] when `name` is no reference or id of an image.
    pub fn remove(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let image = self.find(name)?.ok_or_else(|| StoreError::NoSuchImage { name: name.to_owned() })?;
        self.change_index(|index| index.retain(|entry| entry.manifest != image.manifest))?;
        Ok(image.references)
    }

    /// Notes that the image with this id is used now, or was until now.
    pub fn mark_used(&self, id: &Digest) {
        let manifests = {
            let state = self.state();
            let mut manifests: Vec<Digest> = by_manifest(&state.index).into_keys().collect();
            let is_it = |manifest: &Digest| match state.images.get(manifest) {
                Some(known) => known.id == *id,
                None => self.read_image(manifest).is_ok_and(|image| image.id == *id),
            };
            manifests.retain(is_it);
            manifests
        };
        for manifest in &manifests {
            self.mark_manifest(manifest);
        }
    }

    /// The time of an image's last use is that of its manifest's last change.
    pub(crate) fn mark_manifest(&self, manifest: &Digest) {
        if let Err(error) = homeostat_files::mark_used(self.blob_path(manifest)) {
            tracing::debug!(%error, %manifest, "cannot note the use of an image");
        }
    }

    /// Changes the index on disk, then here; not at all when the disk refuses. An image that gets or loses a name counts as
    /// used now.
    pub(crate) fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, StoreError> {
        let mut state = self.state();
        let mut index = state.index.clone();
        let result = change(&mut index);
        let (before, after) = (by_manifest(&state.index), by_manifest(&index));
        if !index.is_same(&state.index) {
            index.save(self.directory())?;
            state.index = index;
        }
        for (manifest, names) in after {
            if before.get(&manifest) != Some(&names) {
                self.mark_manifest(&manifest);
            }
        }
        Ok(result)
    }

    /// An image of the index, and notes its use.
    pub(crate) fn image(
        &self,
        state: &mut State,
        manifest: &Digest,
        references: Vec<String>,
    ) -> Result<Image, StoreError> {
        let known = match state.images.get(manifest) {
            Some(known) => Arc::clone(known),
            None => Arc::new(self.read_image(manifest)?),
        };
        state.images.insert(manifest.clone(), Arc::clone(&known));
        for used in [&known.id, &known.manifest] {
            state.usage.touch(used);
        }
        for layer in &known.layers {
            state.usage.touch(&layer.diff_id);
            state.usage.touch(&layer.digest);
        }
        Ok(Image { references, ..(*known).clone() })
    }

    /// Whether a layer is here; notes its use.
    pub(crate) fn use_layer(&self, diff_id: &Digest) -> bool {
        let mut state = self.state();
        state.usage.touch(diff_id);
        state.layers.contains_key(diff_id)
    }

    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.directory().join("layers").join(diff_id.hex())
    }

    /// A path in `ingest` or `staging` that nobody else uses.
    pub(crate) fn new_path(&self, directory: &str) -> PathBuf {
        let number = self.inner.next_name.fetch_add(1, Ordering::Relaxed);
        self.directory().join(directory).join(number.to_string())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change; if something does, the disk still has the truth.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn mounts(&self) -> &Mounts {
        &self.inner.mounts
    }

    pub(crate) fn settling(&self) -> MutexGuard<'_, FileSystem> {
        self.inner.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writeback(&self) -> &Writeback {
        &self.inner.writeback
    }
}

/// The references of each manifest, sorted.
pub(crate) fn by_manifest(index: &Index) -> BTreeMap<Digest, Vec<String>> {
    let mut manifests = BTreeMap::<Digest, Vec<String>>::new();
    for entry in index.entries() {
        manifests.entry(entry.manifest).or_default().extend(entry.reference);
    }
    for references in manifests.values_mut() {
        references.sort();
    }
    manifests
}

/// An error with its sources, for logs.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
