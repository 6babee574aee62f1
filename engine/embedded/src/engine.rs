//! The engine: what it holds, and how it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fs_err as fs;
use homeostat_files::lock::{self, Lock};
use homeostat_files::{StateError, read_json};
use homeostat_image::ImageStore;
use homeostat_monitor::cgroup::Cgroup;
use homeostat_monitor::{ProcessIdentity, RunState};
use homeostat_reconciler::ports::EngineEvent;
use homeostat_reconciler::{PortError, ResourceKey, chain};
use homeostat_registry::{Registries, RegistryConfig};
use tokio::sync::broadcast;

use crate::EmbeddedError;
use crate::container::{Container, Run};
use crate::instance::Instance;
use crate::layout::{CONTAINER_FILE, Layout};
use crate::monitor::{self, Monitor};
use crate::networks::{Networks, keep_responder};
use crate::program::Program;
use crate::record::ContainerRecord;
use crate::staging::{discard, sweep};
use crate::volumes::keys_beneath;

/// Events that a slow listener may be behind before it is told to look at everything again.
const EVENTS_KEPT: usize = 1024;

/// Where the engine keeps what it has, and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Images, containers, volumes and logs. On one file system; one that overlayfs can write to is much
    /// faster: ext4, XFS, Btrfs.
    pub data_directory: PathBuf,
    /// What a reboot may take: the OCI runtime's notes of what runs, and what is told to who answers names.
    pub run_directory: PathBuf,
    /// The program that is run as `PROGRAM monitor ...`, which calls [`homeostat_monitor::main`], and as `PROGRAM dns ...`,
    /// which calls [`homeostat_dns::main`]. Usually `/proc/self/exe`.
    pub program: PathBuf,
    /// How registries are reached.
    pub registries: RegistryConfig,
}

/// Containers run by homeostat itself, without a daemon. Clones share one engine.
///
/// See [`Engine`](homeostat_reconciler::ports::Engine) for what it promises.
///
/// # Guarantees
/// - The data directory is held by one process at a time.
/// - What a kill or power cut interrupts is either whole or gone after the next [`open`](Embedded::open).
/// - Two engines with different data directories share nothing on the host.
#[derive(Debug, Clone)]
pub struct Embedded {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) program: Arc<Program>,
    pub(crate) layout: Layout,
    pub(crate) instance: Instance,
    pub(crate) images: ImageStore,
    pub(crate) registries: Registries,
    pub(crate) networks: Networks,
    pub(crate) events: broadcast::Sender<EngineEvent>,
    containers: Mutex<BTreeMap<ResourceKey, Arc<Container>>>,
    volumes: Mutex<BTreeSet<ResourceKey>>,
    /// How many builds go on.
    building: AtomicUsize,
    /// Held while a volume is created, put in place or removed, or a container with volumes becomes known.
    changing_volumes: Mutex<()>,
    _lock: Lock,
}

impl Embedded {
    /// Opens the engine of a data directory: sweeps what a kill or power cut has left, and adopts what still runs.
    ///
    /// Must be called in a tokio runtime: each running container is watched by a task.
    ///
    /// # Errors
    /// When another process has the data directory, or what is in it cannot be read.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let opened = tokio::task::spawn_blocking(move || Inner::open(&config));
        let (inner, live) = opened.await.map_err(|_| EmbeddedError::Panicked)??;
        let inner = Arc::new(inner);
        for (container, state, monitor) in live {
            inner.watch(&container, state, monitor);
        }
        tokio::spawn(keep_responder(Arc::downgrade(&inner), inner.responders()));
        let resumed = Arc::clone(&inner);
        let resume = tokio::task::spawn_blocking(move || resumed.resume_networks());
        if let Err(error) = resume.await.map_err(|_| EmbeddedError::Panicked)? {
            // Containers that need no network can do without; the start of one that does tries again.
            tracing::warn!(error = chain(&PortError::from(error)), "networks cannot be resumed");
        }
        Ok(Self { inner })
    }
}

/// A container that runs, with its processes and its monitor.
type Adopted = (Arc<Container>, RunState, Monitor);

impl Inner {
    fn open(config: &EmbeddedConfig) -> Result<(Self, Vec<Adopted>), EmbeddedError> {
        let layout = Layout::new(&create(&config.data_directory)?, &create(&config.run_directory)?);
        let lock = lock::exclusive(layout.lock())?;
        for directory in layout.directories() {
            create(&directory)?;
            // What is in containers and volumes is not for the host's other users: setuid programs, devices, secrets.
            fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        }
        sweep(&layout);
        let instance = Instance::of(layout.data());
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let inner = Self {
            program: Arc::new(Program::open(&config.program)?),
            images: ImageStore::open(layout.images())?,
            registries: Registries::new(config.registries.clone()),
            networks: Networks::load(&layout, &instance)?,
            events,
            containers: Mutex::default(),
            volumes: Mutex::new(keys_beneath(&layout.volumes())?),
            changing_volumes: Mutex::default(),
            building: AtomicUsize::new(0),
            _lock: lock,
            layout,
            instance,
        };
        inner.tell_storage();
        let live = inner.load_containers()?;
        inner.tidy_cgroups();
        Ok((inner, live))
    }

    /// Reads all containers, and finds out how each runs. One that is in trouble keeps no other from being adopted.
    fn load_containers(&self) -> Result<Vec<Adopted>, EmbeddedError> {
        let monitors = monitor::find_all(&self.layout.containers())?;
        let mut live = Vec::new();
        for entry in fs::read_dir(self.layout.containers())? {
            let directory = entry?.path();
            let Some(container) = self.load_container(&directory)? else { continue };
            let container = Arc::new(container);
            let of_it = monitors.iter().filter(|(path, _)| *path == directory).map(|(_, identity)| identity);
            match adopt(&container, of_it) {
                Ok(Some((running, monitor))) => live.push((Arc::clone(&container), running, monitor)),
                Ok(None) => {}
                Err(error) => {
                    // The next start of it ends it, or says why that cannot be.
                    let error = chain(&PortError::from(error));
                    tracing::warn!(container = %container.key, error, "what is left of a run cannot be ended");
                }
            }
            self.insert(container);
        }
        Ok(live)
    }

    fn load_container(&self, directory: &Path) -> Result<Option<Container>, EmbeddedError> {
        let Some(id) = directory.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        let error = match read_json::<ContainerRecord>(directory.join(CONTAINER_FILE)) {
            Ok(Some(record)) => {
                return Ok(Some(Container::new(&self.layout, &self.instance, id, record)?));
            }
            Ok(None) => "it is not there".to_owned(),
            Err(error) if is_lost(&error) => chain(&error),
            Err(error) => return Err(error.into()),
        };
        // Nobody can say what it is, so it cannot be observed; what it should be, the specs say.
        tracing::warn!(id, error, "what is known of a container cannot be read; it is removed");
        if let Err(error) = self.remove_unknown(id, directory) {
            let error = chain(&PortError::from(error));
            tracing::warn!(id, error, "it cannot be removed; the next opening tries again");
        }
        Ok(None)
    }

    fn remove_unknown(&self, id: &str, directory: &Path) -> Result<(), EmbeddedError> {
        let cgroup = Cgroup::at(self.instance.cgroup(id))?;
        cgroup.kill()?;
        cgroup.remove()?;
        discard(&self.layout, directory)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ResourceKey, Arc<Container>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All containers, by key.
    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        self.table().values().cloned().collect()
    }

    pub(crate) fn find(&self, key: &ResourceKey) -> Option<Arc<Container>> {
        self.table().get(key).cloned()
    }

    /// The container, which must exist.
    pub(crate) fn require(&self, key: &ResourceKey) -> Result<Arc<Container>, EmbeddedError> {
        self.find(key).ok_or_else(|| EmbeddedError::NoContainer(key.clone()))
    }

    pub(crate) fn insert(&self, container: Arc<Container>) {
        self.table().insert(container.key.clone(), container);
    }

    pub(crate) fn forget(&self, key: &ResourceKey) {
        self.table().remove(key);
    }

    /// The volumes that exist.
    pub(crate) fn volumes(&self) -> MutexGuard<'_, BTreeSet<ResourceKey>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changing_volumes(&self) -> MutexGuard<'_, ()> {
        self.changing_volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds out how a container runs that an earlier process of the engine may have started.
fn adopt<'a>(
    container: &Container,
    monitors: impl Iterator<Item = &'a ProcessIdentity>,
) -> Result<Option<(RunState, Monitor)>, EmbeddedError> {
    let last = container.last_run();
    let running = last.as_ref().ok().and_then(|(running, _)| running.clone());
    for identity in monitors {
        if running.as_ref().is_none_or(|running| running.monitor != *identity) {
            // A start that was cut off before anybody knew of it is undone, so that none runs twice.
            monitor::end_stray(identity)?;
        }
    }
    let (_, ended) = last?;
    if let Some(ended) = ended {
        container.set_run(Run::Ended(ended));
    }
    let Some(running) = running else {
        if container.cgroup.exists() {
            container.clean_up()?;
        }
        return Ok(None);
    };
    if let Some(monitor) = Monitor::adopt(&running.monitor)? {
        return Ok(Some((running, monitor)));
    }
    // It ended just now.
    container.set_run(container.last_run()?.1.map_or(Run::Never, Run::Ended));
    Ok(None)
}

/// Whether a record will never be read again: it is torn, of another version, or on a bad spot of the disk.
pub(crate) fn is_lost(error: &StateError) -> bool {
    match error {
        StateError::Damaged { .. } | StateError::Unexpected { .. } => true,
        StateError::Read { .. } | StateError::Write(_) | StateError::Serialize { .. } => is_bad_disk(error),
    }
}

fn is_bad_disk(error: &(dyn Error + 'static)) -> bool {
    // The number is the innermost error's: those around it, which name the file, have none.
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if number == Some(nix::libc::EIO) {
            return true;
        }
        next = error.source();
    }
    false
}

/// A build that goes on: its steps have control groups.
#[derive(Debug)]
pub(crate) struct Building<'a>(&'a Inner);

impl Inner {
    pub(crate) fn building(&self) -> Building<'_> {
        self.building.fetch_add(1, Ordering::SeqCst);
        Building(self)
    }

    /// Removes the parent of all control groups when nothing of this engine is there that could need it.
    pub(crate) fn tidy_cgroups(&self) {
        // Held, so that no container is created meanwhile.
        let containers = self.table();
        if containers.is_empty() && self.building.load(Ordering::SeqCst) == 0 {
            let parent = Cgroup::at(self.instance.name());
            if let Err(error) = parent.and_then(|parent| parent.remove()) {
                tracing::debug!(%error, "the parent of the control groups stays");
            }
        }
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.0.building.fetch_sub(1, Ordering::SeqCst);
        self.0.tidy_cgroups();
    }
}

/// Creates a directory and gives its canonical path.
fn create(directory: &Path) -> Result<PathBuf, EmbeddedError> {
    fs::create_dir_all(directory)?;
    Ok(fs::canonicalize(directory)?)
}
