//! What a command uses while it runs: its mounts, and what stands behind them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use homeostat_dockerfile::Ignore;
use homeostat_files::Root;
use homeostat_image::{CacheMount, Layer};
use homeostat_reconciler::ports::Secret;

use super::StageBuild;
use super::mounts::{Cache, Prepared, Shows};
use crate::agent_socket::AgentSocket;
use crate::copy::{Destination, Selecting, Tree, place, select};
use crate::memory::Memory;
use crate::mounts::View;
use crate::resolve::real_path;
use crate::{StepError, StepMount};

/// The variable that names the socket of an SSH agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// To be kept as long as the command runs. What is first here goes first.
#[derive(Default)]
pub(super) struct Held {
    pub(super) mounts: Vec<StepMount>,
    /// Variables with secrets.
    pub(super) variables: BTreeMap<String, Secret>,
    /// Variables that say where something is.
    pub(super) places: Vec<(String, String)>,
    sockets: Vec<AgentSocket>,
    views: Vec<View>,
    caches: BTreeMap<String, CacheMount>,
    memories: Vec<Memory>,
    vault: Option<Memory>,
}

impl StageBuild<'_> {
    /// Mounts and opens all that the command is to see. Secrets and agents that nobody gave are left out.
    pub(super) fn hold(&self, prepared: &[Prepared]) -> Result<Held, StepError> {
        let mut held = Held { caches: self.caches(prepared)?, ..Held::default() };
        for (number, mount) in prepared.iter().enumerate() {
            let source = self.source(&mut held, mount, number)?;
            if let (Some(source), Some(target)) = (source, &mount.target) {
                held.mounts.push(StepMount { source, target: target.clone(), read_only: mount.read_only });
            }
        }
        Ok(held)
    }

    /// Where on this host is what a mount shows.
    fn source(&self, held: &mut Held, mount: &Prepared, number: usize) -> Result<Option<PathBuf>, StepError> {
        let store = self.build.store;
        Ok(match &mount.shows {
            Shows::Files(layers, path) => {
                let view = View::with(store, layers, !mount.read_only)?;
                let source = view.path(path)?;
                held.views.push(view);
                Some(source)
            }
            Shows::Cache(cache) => Some(held.caches[&cache.id].path.clone()),
            Shows::Memory(size) => {
                let memory = Memory::directory(store, *size)?;
                let source = memory.path().to_owned();
                held.memories.push(memory);
                Some(source)
            }
            Shows::Secret(secret) => {
                let Some(given) = &secret.given else { return Ok(None) };
                if let Some(name) = &secret.variable {
                    held.variables.insert(name.clone(), given.clone());
                }
                if mount.target.is_none() {
                    return Ok(None);
                }
                let name = number.to_string();
                let vault = self.vault(held)?;
                Some(vault.file(&name, given.bytes(), secret.permissions)?)
            }
            Shows::Agent(agent) => {
                let (Some(given), Some(target)) = (&agent.given, &mount.target) else { return Ok(None) };
                if self.scope.get(AGENT_VARIABLE).is_none() && held.places.is_empty() {
                    held.places.push((AGENT_VARIABLE.to_owned(), target.clone()));
                }
                let directory = self.vault(held)?.path().to_owned();
                let socket =
                    AgentSocket::open(&directory, &number.to_string(), given.clone(), agent.permissions)?;
                let source = socket.path().to_owned();
                held.sockets.push(socket);
                Some(source)
            }
        })
    }

    fn vault<'held>(&self, held: &'held mut Held) -> Result<&'held Memory, StepError> {
        if held.vault.is_none() {
            held.vault = Some(Memory::vault(self.build.store)?);
        }
        Ok(held.vault.as_ref().expect("it was just made"))
    }

    /// The caches of a step, each once. In order of their ids: of two steps that wait for more than one, none has what
    /// the other waits for.
    fn caches(&self, prepared: &[Prepared]) -> Result<BTreeMap<String, CacheMount>, StepError> {
        let caches = prepared.iter().filter_map(|mount| match &mount.shows {
            Shows::Cache(cache) => Some((cache.id.clone(), cache)),
            _ => None,
        });
        let wanted: BTreeMap<String, &Cache> = caches.collect();
        wanted.into_iter().map(|(id, cache)| Ok((id, self.cache(cache)?))).collect()
    }

    /// The directory of a cache; a new one begins with the files that are given.
    fn cache(&self, cache: &Cache) -> Result<CacheMount, StepError> {
        let (store, cancel) = (self.build.store, &self.build.cancel);
        let woken = store.clone();
        let _watching = cancel.watch(move || woken.wake_cache_mounts());
        let is_cancelled = || cancel.is_cancelled();
        let mount = store.cache_mount(&cache.id, cache.sharing, cache.permissions, &is_cancelled)?;
        let mount = mount.ok_or(StepError::Cancelled)?;
        if let (true, Some((layers, source))) = (mount.is_new, &cache.files) {
            self.fill(&mount.path, layers, source)?;
        }
        Ok(mount)
    }

    fn fill(&self, directory: &Path, layers: &[Layer], source: &str) -> Result<(), StepError> {
        let view = View::new(self.build.store, layers)?;
        let (root, title) = (view.root()?, String::new());
        let tree = Tree { root, ignore: Ignore::default(), title, keep_owner: true };
        let selections = select(&tree, source, Selecting::default())?;
        let destination = Destination { path: "/".to_owned(), owner: None, mode: None };
        place(&Root::open(directory)?, &destination, &selections)
    }
}

impl View {
    /// Where a path of the layers is on this host.
    fn path(&self, path: &str) -> Result<PathBuf, StepError> {
        let root = self.root()?;
        let missing = || StepError::NoSource { path: path.to_owned(), ignored: false };
        let real = real_path(&root, Path::new(path))?.ok_or_else(missing)?;
        root.symlink_metadata(&real)?.ok_or_else(missing)?;
        Ok(root.path().join(real))
    }
}
