//! The root file system of a container, out of the layers of its image.
//!
//! Where overlayfs can be used the container's directory has `upper/`, with what the container has changed, and `work/`.
//! Elsewhere it has `copy/`, with everything. What a container began with it goes on with, but for one that has `upper/` and can
//! be mounted no more: that one becomes a copy when it is started.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{Root, remove_tree, sync_file_system};
use homeostat_image::{Assembly, Image, StorageDriver};
use homeostat_monitor::Rootfs;
use homeostat_reconciler::ports::EngineStorage;

use crate::EmbeddedError;
use crate::container::Container;
use crate::create::open_to_all;
use crate::engine::Inner;
use crate::staging::Staged;

/// What a container has changed, in its directory.
const UPPER: &str = "upper";
/// What overlayfs needs for itself, in a container's directory.
const WORK: &str = "work";
/// All files of a container, in its directory.
const COPY: &str = "copy";

/// What copies mean to whoever runs the host.
const DRAWBACK: &str =
    "containers and builds work on copies of their images, which is slower and takes more room";

/// Where the files are that a container has of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnFiles {
    /// Those that it has changed: an overlay's upper directory.
    Upper(PathBuf),
    /// All of them.
    Copy(PathBuf),
}

impl OwnFiles {
    /// Those of the container in this directory.
    pub(crate) fn of(container: &Path) -> Self {
        let copy = container.join(COPY);
        if copy.exists() { Self::Copy(copy) } else { Self::Upper(container.join(UPPER)) }
    }

    /// Their directory.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Upper(path) | Self::Copy(path) => path,
        }
    }
}

/// Whether what a container has written is in its directory.
pub(crate) fn is_there(container: &Path) -> bool {
    [UPPER, COPY].iter().any(|name| container.join(name).is_dir())
}

impl Inner {
    /// How the file systems of containers are made.
    pub(crate) fn storage(&self) -> EngineStorage {
        let driver = self.images.driver();
        let reason = match driver {
            StorageDriver::Overlayfs => None,
            StorageDriver::Vfs { reason } => Some(format!("{reason}; {DRAWBACK}")),
        };
        EngineStorage { driver: driver.to_string(), reason }
    }

    /// Tells the log.
    pub(crate) fn tell_storage(&self) {
        let EngineStorage { driver, reason } = self.storage();
        if let Some(reason) = reason {
            tracing::warn!(driver, "{reason}");
        } else {
            tracing::info!(driver, "images are mounted");
        }
    }

    /// Makes the root of a new container. If it is a copy, that is where.
    pub(crate) fn create_root(
        &self,
        staged: &Staged,
        layers: &[PathBuf],
    ) -> Result<Option<PathBuf>, EmbeddedError> {
        if *self.images.driver() == StorageDriver::Overlayfs {
            create_upper(staged, layers.first())?;
            return Ok(None);
        }
        let copy = staged.path().join(COPY);
        fs::create_dir(&copy)?;
        open_to_all(&copy)?;
        self.images.assemble(layers, &copy, Assembly::Copies)?;
        Ok(Some(copy))
    }

    /// Makes a copy of a container's files if they can be mounted no more.
    pub(crate) fn adapt_root(&self, container: &Container) -> Result<(), EmbeddedError> {
        if *self.images.driver() == StorageDriver::Overlayfs {
            return Ok(());
        }
        let [upper, work, copy] = [UPPER, WORK, COPY].map(|name| container.directory.join(name));
        if !copy.exists() {
            tracing::warn!(container = %container.key, "its files are copied, as overlayfs cannot mount them any more");
            let record = container.record();
            let image = self.images.find(&record.image_id)?;
            let image = image.ok_or_else(|| EmbeddedError::NoImage(record.image))?;
            let mut layers = vec![upper.clone()];
            layers.extend(self.images.layer_directories(&image)?);
            let staged = Staged::create(&self.layout)?;
            self.images.assemble(&layers, staged.path(), Assembly::Copies)?;
            sync_file_system(self.layout.data())?;
            staged.put(&copy)?;
        }
        // After a cut between the two this is done now.
        for old in [upper, work] {
            remove_tree(old)?;
        }
        Ok(())
    }

    /// What the monitor is to mount.
    pub(crate) fn rootfs(
        &self,
        container: &Path,
        image: &Image,
        read_only: bool,
    ) -> Result<Rootfs, EmbeddedError> {
        let (copy, work) = (container.join(COPY), container.join(WORK));
        if copy.exists() {
            return Ok(Rootfs { lower: Vec::new(), upper: copy, work, read_only });
        }
        let lower = self.images.layer_directories(image)?;
        Ok(Rootfs { lower, upper: container.join(UPPER), work, read_only })
    }
}

/// Makes the directories that overlayfs writes to. The root directory has owner and mode of the upper one, which are
/// therefore those of the image's top layer.
fn create_upper(staged: &Staged, top_layer: Option<&PathBuf>) -> Result<(), EmbeddedError> {
    let upper = staged.path().join(UPPER);
    for directory in [&upper, &staged.path().join(WORK)] {
        fs::create_dir(directory)?;
    }
    open_to_all(&upper)?;
    if let Some(layer) = top_layer {
        let permissions = Root::open(layer)?.resolve("")?.metadata()?.permissions;
        Root::open(&upper)?.resolve("")?.set_permissions(permissions)?;
    }
    Ok(())
}
