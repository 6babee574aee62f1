//! The layers of a stage as one tree.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::overlay::{self, Overlay, Upper};
use homeostat_files::{FileError, Root, remove_tree};
use homeostat_image::{Assembly, ImageStore, Layer, StagedLayer, StorageDriver};

use crate::StepError;

/// A layer in the making, on top of those beneath.
pub(crate) struct Workspace {
    // Before the layer: nothing mounted is ever removed.
    root: Seen,
    staged: StagedLayer,
}

/// What is done in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Anything: a command runs there.
    Commands,
    /// Files are created, replaced and removed; none that is there is written to.
    Files,
}

impl Workspace {
    pub(crate) fn new(store: &ImageStore, layers: &[Layer], work: Work) -> Result<Self, StepError> {
        Self::seeing(store, layers, layers, work)
    }

    /// A layer that sees nothing of those beneath it: whatever it holds hides what they have there.
    pub(crate) fn alone(store: &ImageStore, beneath: &[Layer]) -> Result<Self, StepError> {
        Self::seeing(store, beneath, &[], Work::Files)
    }

    fn seeing(store: &ImageStore, beneath: &[Layer], seen: &[Layer], work: Work) -> Result<Self, StepError> {
        let staged = store.begin_layer(beneath.last())?;
        let root = Seen::new(store, &staged, seen, Some(work))?;
        Ok(Self { root, staged })
    }

    /// The root as it is seen.
    pub(crate) fn root(&self) -> Result<Root, FileError> {
        Root::open(self.path())
    }

    /// Where the root is.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Takes the root away, does some last work on the layer's own directory, and makes it a layer; none when nothing
    /// changed.
    pub(crate) fn commit(
        self,
        work: impl FnOnce(&Root) -> Result<(), StepError>,
    ) -> Result<Option<Layer>, StepError> {
        let Self { root, staged } = self;
        match root {
            Seen::Mounted(mounted) => mounted.close()?,
            Seen::Assembled { path, layers } => {
                staged.take_changes(&layers, &path)?;
                remove_tree(path)?;
            }
        }
        work(&Root::open(staged.upper())?)?;
        Ok(staged.commit()?)
    }
}

/// Layers to be read, in a staging directory of their own.
pub(crate) struct View {
    root: Seen,
    _staged: StagedLayer,
}

impl View {
    pub(crate) fn new(store: &ImageStore, layers: &[Layer]) -> Result<Self, StepError> {
        Self::with(store, layers, false)
    }

    /// Whether they can be written, too; what is written goes with the view.
    pub(crate) fn with(store: &ImageStore, layers: &[Layer], writable: bool) -> Result<Self, StepError> {
        let staged = store.begin_layer(layers.last())?;
        let root = Seen::new(store, &staged, layers, writable.then_some(Work::Commands))?;
        Ok(Self { root, _staged: staged })
    }

    pub(crate) fn root(&self) -> Result<Root, FileError> {
        Root::open(self.root.path())
    }
}

/// Layers as one tree, beside the directory of a staged layer.
enum Seen {
    Mounted(Mounted),
    /// Made of their files, where overlayfs cannot mount them; `layers` are their directories, the top one first.
    Assembled {
        path: PathBuf,
        layers: Vec<PathBuf>,
    },
}

impl Seen {
    /// Without `work` they are only read.
    fn new(
        store: &ImageStore,
        staged: &StagedLayer,
        layers: &[Layer],
        work: Option<Work>,
    ) -> Result<Self, StepError> {
        let path = staged.upper().with_file_name("root");
        let lower = store.directories_of(layers)?;
        // No layers are no files: nothing needs overlayfs then.
        if lower.is_empty() || *store.driver() == StorageDriver::Overlayfs {
            let upper = Upper { directory: staged.upper(), work: staged.work(), durable: false };
            let upper = (work.is_some() || lower.is_empty()).then_some(upper);
            return Ok(Self::Mounted(Mounted::new(&Overlay { lower, upper }, path)?));
        }
        fs::create_dir(&path)?;
        let assembly = if work == Some(Work::Commands) { Assembly::Copies } else { Assembly::Links };
        store.assemble(&lower, &path, assembly)?;
        Ok(Self::Assembled { path, layers: lower })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Mounted(mounted) => &mounted.0,
            Self::Assembled { path, .. } => path,
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
