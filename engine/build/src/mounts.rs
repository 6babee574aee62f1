//! The layers of a stage as one tree.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::overlay::{self, Overlay, Upper};
use homeostat_files::{FileError, Root};
use homeostat_image::{ImageStore, Layer, StagedLayer};

use crate::StepError;

/// A layer in the making, mounted on those beneath.
pub(crate) struct Workspace {
    // Before the layer: nothing mounted is ever removed.
    root: Mounted,
    staged: StagedLayer,
}

impl Workspace {
    pub(crate) fn new(store: &ImageStore, layers: &[Layer]) -> Result<Self, StepError> {
        Self::seeing(store, layers, layers)
    }

    /// A layer that sees nothing of those beneath it: whatever it holds hides what they have there.
    pub(crate) fn alone(store: &ImageStore, beneath: &[Layer]) -> Result<Self, StepError> {
        Self::seeing(store, beneath, &[])
    }

    fn seeing(store: &ImageStore, beneath: &[Layer], seen: &[Layer]) -> Result<Self, StepError> {
        let staged = store.begin_layer(beneath.last())?;
        let upper = Upper { directory: staged.upper(), work: staged.work(), durable: false };
        let overlay = Overlay { lower: store.directories_of(seen)?, upper: Some(upper) };
        let root = Mounted::new(&overlay, staged.upper().with_file_name("root"))?;
        Ok(Self { root, staged })
    }

    /// The mounted root.
    pub(crate) fn root(&self) -> Result<Root, FileError> {
        Root::open(&self.root.0)
    }

    /// Where the root is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.root.0
    }

    /// Unmounts, does some last work on the layer's own directory, and makes it a layer; none when nothing changed.
    pub(crate) fn commit(
        self,
        work: impl FnOnce(&Root) -> Result<(), StepError>,
    ) -> Result<Option<Layer>, StepError> {
        let Self { root, staged } = self;
        root.close()?;
        work(&Root::open(staged.upper())?)?;
        Ok(staged.commit()?)
    }
}

/// Layers to be read, in a staging directory of their own.
pub(crate) struct View {
    root: Option<Mounted>,
    staged: StagedLayer,
}

impl View {
    pub(crate) fn new(store: &ImageStore, layers: &[Layer]) -> Result<Self, StepError> {
        Self::with(store, layers, false)
    }

    /// Whether they can be written, too; what is written goes with the view.
    pub(crate) fn with(store: &ImageStore, layers: &[Layer], writable: bool) -> Result<Self, StepError> {
        let staged = store.begin_layer(layers.last())?;
        let lower = store.directories_of(layers)?;
        // No layers are no files, as in the staging directory that nobody fills.
        let root = if lower.is_empty() {
            None
        } else {
            let point = staged.upper().with_file_name("root");
            let upper = Upper { directory: staged.upper(), work: staged.work(), durable: false };
            Some(Mounted::new(&Overlay { lower, upper: writable.then_some(upper) }, point)?)
        };
        Ok(Self { root, staged })
    }

    pub(crate) fn root(&self) -> Result<Root, FileError> {
        match &self.root {
            Some(root) => Root::open(&root.0),
            None => Root::open(self.staged.upper()),
        }
    }
}

/// A mount and its mount point, both of which go when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(overlay: &Overlay, point: PathBuf) -> Result<Self, StepError> {
        fs::create_dir(&point)?;
        let mounted = Self(point);
        overlay::mount(overlay, &mounted.0)?;
        Ok(mounted)
    }

    fn close(self) -> Result<(), StepError> {
        overlay::unmount(&self.0)?;
        fs::remove_dir(&self.0)?;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // After `close` there is nothing left; else the staging directory around it is removed next.
        let _ = overlay::unmount(&self.0);
    }
}
