//! Making layers.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{Permissions, Root, remove_tree};

use crate::compression::uncompressed_layer;
use crate::digest::Hashing;
use crate::image::Layer;
use crate::marks::Marks;
use crate::open::Archive;
use crate::store::{LayerState, PendingBlob, State, chain};
use crate::tar::{is_content_xattr, write_tree};
use crate::unpack::{Limits, unpack};
use crate::{Digest, ImageStore, StoreError, UnpackError};

/// The top directory of a layer that has no parent.
const TOP: Permissions = Permissions { mode: 0o755, uid: 0, gid: 0 };

/// A layer while it is being made, removed when it is dropped before its commit.
#[derive(Debug)]
pub struct StagedLayer {
    store: ImageStore,
    directory: PathBuf,
    /// The top directory's permissions before any change.
    top: Permissions,
    /// How often the disk had failed when it was begun.
    failures: u64,
}

impl ImageStore {
    /// Begins a layer. `parent` is the layer directly beneath, if there is one.
    ///
    /// # Errors
    /// [`StoreError::LayerMissing`] when the parent is not unpacked here.
    pub fn begin_layer(&self, parent: Option<&Layer>) -> Result<StagedLayer, StoreError> {
        let top = match parent {
            Some(parent) => self.top_permissions(&parent.diff_id)?,
            None => TOP,
        };
        let (directory, failures) = (self.new_path("staging"), self.state().failures);
        let staged = StagedLayer { store: self.clone(), directory, top, failures };
        fs::create_dir(&staged.directory)?;
        let root = Root::open(&staged.directory)?;
        // In a mount the topmost layer's top directory is the one that is seen.
        root.entry("diff")?.create_directory(top)?;
        root.entry("work")?.create_directory(Permissions::root(0o700))?;
        Ok(staged)
    }

    /// Takes in a layer from its uncompressed tar archive, which nobody needs to vouch for.
    ///
    /// # Errors
    /// [`StoreError::Unpack`] when the archive is no layer, leads out of it, or exceeds `limits`.
    pub fn import_layer(&self, archive: impl Read, limits: Limits) -> Result<Layer, StoreError> {
        let staged = self.begin_layer(None)?;
        let blob = Ingest::create(self)?;
        let root = Root::open(staged.upper())?;
        let mut copy =
            Hashing::new(Tee { input: archive, copy: BufWriter::with_capacity(1 << 18, &blob.file) });
        unpack(&mut copy, &root, self.marks(), limits)?;
        let (mut tee, diff_id, size) = copy.finish();
        tee.copy.flush()?;
        drop(tee);
        let archive = Archive::Foreign(diff_id.clone());
        self.adopt(&staged, blob, archive, Layer { digest: diff_id.clone(), diff_id, size })
    }

    /// Makes a staged directory a layer. If the layer is here already, that one is used.
    pub(crate) fn adopt(
        &self,
        staged: &StagedLayer,
        blob: Ingest,
        archive: Archive,
        layer: Layer,
    ) -> Result<Layer, StoreError> {
        remove_tree(staged.directory.join("work"))?;
        let mut state = self.state();
        staged.ensure_written(&state)?;
        state.usage.touch(&layer.diff_id);
        state.usage.touch(&layer.digest);
        if !state.layers.contains_key(&layer.diff_id) {
            let target = self.layer_path(&layer.diff_id);
            remove_tree(&target)?;
            fs::rename(&staged.directory, &target)?;
            let blob = PendingBlob { path: blob.keep(), digest: layer.digest.clone(), archive };
            state.layers.insert(layer.diff_id.clone(), LayerState::Pending(blob));
        }
        Ok(layer)
    }

    fn top_permissions(&self, diff_id: &Digest) -> Result<Permissions, StoreError> {
        if !self.use_layer(diff_id) {
            return Err(StoreError::LayerMissing { diff_id: diff_id.clone() });
        }
        let top = Root::open(self.layer_path(diff_id).join("diff"))?.resolve("")?;
        Ok(top.metadata()?.permissions)
    }
}

impl StagedLayer {
    /// Where the layer's files go: an upper directory of overlayfs, or simply a directory to be filled.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("diff")
    }

    /// The work directory of overlayfs for [`StagedLayer::upper`].
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// That the disk has not failed since the layer was begun: it may have lost any part of it then.
    pub(crate) fn ensure_written(&self, state: &State) -> Result<(), StoreError> {
        if state.failures == self.failures { Ok(()) } else { Err(StoreError::DiskFailed) }
    }

    pub(crate) fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Makes the upper directory a layer; `None` when nothing was changed in it.
    ///
    /// Times are kept in the layer's archive in whole seconds, as everywhere in the field. The layer can be used at
    /// once; it is on disk for good after [`ImageStore::commit_image`] or [`ImageStore::settle`].
    ///
    /// # Assumptions
    /// The overlay is unmounted, and nobody changes the directory any more.
    ///
    /// # Errors
    /// [`StoreError::Layer`] when something in it does not fit a layer.
    pub fn commit(self) -> Result<Option<Layer>, StoreError> {
        let tree = Root::open(self.upper())?;
        let blob = Ingest::create(&self.store)?;
        let mut output = BufWriter::with_capacity(1 << 18, Hashing::new(&blob.file));
        let changes = write_tree(&tree, self.store.marks(), &mut output)?;
        let hashing = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (_, diff_id, size) = hashing.finish();
        if changes == 0 && self.top_is_unchanged(&tree)? {
            return Ok(None);
        }
        let layer = Layer { digest: diff_id.clone(), diff_id, size };
        self.store.clone().adopt(&self, blob, Archive::Own, layer).map(Some)
    }

    fn top_is_unchanged(&self, tree: &Root) -> Result<bool, StoreError> {
        use std::os::unix::ffi::OsStrExt as _;
        let top = tree.resolve("")?;
        let attributes = top.xattr_names()?;
        Ok(top.metadata()?.permissions == self.top
            && !attributes.iter().any(|name| is_content_xattr(name.as_bytes())))
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        // After a commit it is not there any more.
        if let Err(error) = remove_tree(&self.directory) {
            tracing::warn!(error = %chain(&error), "cannot remove an unfinished layer; the next start tries again");
        }
    }
}

/// A blob on its way in, removed when it is dropped before it is kept.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) file: fs::File,
    path: Option<PathBuf>,
}

impl Ingest {
    pub(crate) fn create(store: &ImageStore) -> Result<Self, StoreError> {
        let path = store.new_path("ingest");
        Ok(Self { file: fs::File::create(&path)?, path: Some(path) })
    }

    pub(crate) fn keep(mut self) -> PathBuf {
        self.path.take().expect("only keep takes the path, and consumes the blob")
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            remove_or_warn(path);
        }
    }
}

/// Removes a file that nobody needs any more; a start of the store removes what could not be removed.
pub(crate) fn remove_or_warn(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(error = %chain(&error), "cannot remove an unfinished blob; the next start tries again");
    }
}

/// Copies what is read.
struct Tee<R, W> {
    input: R,
    copy: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        match self.copy.write_all(&buffer[..length]) {
            Ok(()) => Ok(length),
            Err(error) => Err(io::Error::new(error.kind(), format!("cannot write its blob: {error}"))),
        }
    }
}

/// The digest that a layer's directory would have as a layer of ours.
pub(crate) fn tree_digest(tree: &Path, marks: Marks) -> Result<Digest, StoreError> {
    let mut output = BufWriter::with_capacity(1 << 18, Hashing::new(io::sink()));
    write_tree(&Root::open(tree)?, marks, &mut output)?;
    let hashing = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(hashing.finish().1)
}

/// Unpacks a blob, compressed or not, into a staged layer, and verifies what comes out.
pub(crate) fn unpack_blob(store: &ImageStore, layer: &Layer) -> Result<StagedLayer, StoreError> {
    let staged = store.begin_layer(None)?;
    let archive =
        Hashing::new(uncompressed_layer(store.open_blob(&layer.digest)?).map_err(UnpackError::Read)?);
    let root = Root::open(staged.upper())?;
    let mut archive = archive;
    unpack(&mut archive, &root, store.marks(), Limits::default())?;
    let (_, actual, _) = archive.finish();
    if actual != layer.diff_id {
        return Err(StoreError::WrongDigest { expected: layer.diff_id.clone(), actual });
    }
    remove_tree(staged.work())?;
    Ok(staged)
}
