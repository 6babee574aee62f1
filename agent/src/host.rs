//! This host's part of homeostat: the data directory with its lock, the engine, the store.

use std::path::PathBuf;
use std::sync::Arc;

use homeostat_files::lock::{self, Lock};
use homeostat_reconciler::ports::{Engine, Store};
use homeostat_reconciler::{ErrorKind, PortError, chain};

use crate::by_hand::ByHandBook;
use crate::engine_memory;
use crate::engines::EngineChoice;
use crate::files::SourceFiles;
use crate::store::SledStore;

/// What a process that changes this host holds. One process at a time can have it.
pub struct Host {
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Remembers.
    pub store: Arc<dyn Store>,
    /// Files of the source on this host.
    pub files: SourceFiles,
    /// What was asked for by hand.
    pub by_hand: Arc<ByHandBook>,
    /// What the user should know: the store could not be read and was begun anew, or what was asked for by hand is unknown.
    pub notices: Vec<String>,
    /// The store could not be read and was begun anew.
    pub rebuilt: bool,
    _lock: Lock,
}

/// Where a host keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// Durable: images, containers, volumes, logs, the store.
    pub data: PathBuf,
    /// Gone after a reboot: sockets, process ids.
    pub run: PathBuf,
}

impl Directories {
    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// Bare mirrors of git sources.
    pub fn mirrors(&self) -> PathBuf {
        self.data.join("git")
    }
}

impl Host {
    /// Takes the data directory's lock and opens everything in it, and the engine.
    ///
    /// # Errors
    /// Of kind `Transient` when another process has the lock; else when the directories cannot be used, or were used with
    /// another engine that has containers.
    pub async fn open(directories: &Directories, engine: &EngineChoice) -> Result<Self, PortError> {
        let unusable = |path: &PathBuf| {
            let message = format!("{} cannot be used", path.display());
            let hint = "run as root, or choose other places with --data-dir and --run-dir";
            move |error: std::io::Error| {
                PortError::new(ErrorKind::Config, message).caused_by(error).with_hint(hint)
            }
        };
        fs_err::create_dir_all(&directories.data).map_err(unusable(&directories.data))?;
        fs_err::create_dir_all(&directories.run).map_err(unusable(&directories.run))?;
        let lock = lock::exclusive(directories.data.join("lock")).map_err(|error| {
            PortError::new(ErrorKind::Transient, "the data directory is in use by another homeostat")
                .caused_by(error)
                .with_hint("commands reach a running agent through its socket: give the same --run-dir as the agent has")
        })?;
        let opened = SledStore::open(&directories.data.join("store"))?;
        let by_hand = ByHandBook::open(&directories.data.join("by-hand"));
        let rebuilt = opened.moved_aside.map(|(path, error)| {
            let reason = chain(&error);
            format!(
                "the store could not be read ({reason}); it is now {} and a new one is begun",
                path.display()
            )
        });
        engine_memory::claim(directories, engine.name, &opened.store.load()?)?;
        Ok(Self {
            engine: engine.open(directories).await?,
            store: Arc::new(opened.store),
            files: SourceFiles::open(&directories.data.join("files"))?,
            rebuilt: rebuilt.is_some(),
            notices: rebuilt.into_iter().chain(by_hand.notice()).collect(),
            by_hand: Arc::new(by_hand),
            _lock: lock,
        })
    }
}
