//! Where everything lies on disk.
//!
//! | Path                             | What it is                                                       |
//! |----------------------------------|------------------------------------------------------------------|
//! | `DATA/engine.lock`               | held while an engine is open                                     |
//! | `DATA/containers/ID/`            | one container: `container.json`, `upper/` and `work/` or `copy/`, `volumes/N/`, and what its monitor writes |
//! | `DATA/volumes/APP/NAME/`         | one named volume: `volume.json` and `_data/`                     |
//! | `DATA/networks/APP/NAME/`        | one network: `network.json`                                      |
//! | `DATA/logs/APP/NAME/`            | the log of every container that has had this key                 |
//! | `DATA/image/`                    | the image store                                                  |
//! | `DATA/staging/`                  | what is being created; swept when the engine is opened           |
//! | `DATA/trash/`                    | what is being removed; swept when the engine is opened           |
//! | `RUN/oci/`                       | state of the OCI runtime                                         |
//! | `RUN/dns/`                       | what the process that answers names is told; absent without a bridge |
//!
//! What has a directory is there as a whole or not at all: it is made in `staging/` and renamed to its place, and
//! renamed to `trash/` before it is taken apart.

use std::path::{Path, PathBuf};

use homeostat_reconciler::ResourceKey;

/// Name of the file that describes a container, in its directory.
pub(crate) const CONTAINER_FILE: &str = "container.json";
/// Name of the file that describes a volume, in its directory.
pub(crate) const VOLUME_FILE: &str = "volume.json";
/// Name of the file that describes a network, in its directory.
pub(crate) const NETWORK_FILE: &str = "network.json";
/// Name of the directory with a volume's content, in its directory.
pub(crate) const VOLUME_DATA: &str = "_data";

/// The paths of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    data: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// The layout below a data directory and a run directory, both given by their canonical paths.
    pub(crate) fn new(data: &Path, run: &Path) -> Self {
        Self { data: data.to_owned(), run: run.to_owned() }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.data.join("engine.lock")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    pub(crate) fn volume(&self, key: &ResourceKey) -> PathBuf {
        beneath(&self.volumes(), key)
    }

    pub(crate) fn networks(&self) -> PathBuf {
        self.data.join("networks")
    }

    pub(crate) fn network(&self, key: &ResourceKey) -> PathBuf {
        beneath(&self.networks(), key)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    pub(crate) fn log(&self, key: &ResourceKey) -> PathBuf {
        beneath(&self.logs(), key)
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.data.join("image")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.data.join("staging")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.data.join("trash")
    }

    /// The directory of the process that answers names.
    pub(crate) fn names(&self) -> PathBuf {
        self.run.join("dns")
    }

    /// The OCI runtime's own directory.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.run.join("oci")
    }

    /// The directories that always exist.
    pub(crate) fn directories(&self) -> [PathBuf; 8] {
        [
            self.containers(),
            self.volumes(),
            self.networks(),
            self.logs(),
            self.images(),
            self.staging(),
            self.trash(),
            self.runtime(),
        ]
    }
}

/// A key's parts are names, and so single components of a path.
fn beneath(directory: &Path, key: &ResourceKey) -> PathBuf {
    directory.join(key.app.as_str()).join(key.name.as_str())
}
