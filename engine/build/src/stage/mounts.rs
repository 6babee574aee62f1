//! `RUN --mount`: what is mounted, and what the step depends on.

use homeostat_dockerfile::{Mount, MountKind, Run};
use homeostat_files::{Permissions, Root};
use homeostat_image::{CacheEntry, Layer, Sharing};
use homeostat_reconciler::ports::Secret;

use super::StageBuild;
use crate::StepError;
use crate::copy::{Destination, Selecting, add_to_key, place, select};
use crate::key::Key;

/// The mode of a new cache, of the file of a secret, and of a socket.
const CACHE_MODE: u32 = 0o755;
const SECRET_MODE: u32 = 0o400;
const SOCKET_MODE: u32 = 0o600;

/// Where the socket of an SSH agent is, without its number.
const SOCKET: &str = "/run/buildkit/ssh_agent";

/// A mount with its variables put in.
pub(super) struct Prepared {
    /// Where it is seen. A secret may be seen as a variable only.
    pub(super) target: Option<String>,
    pub(super) read_only: bool,
    pub(super) shows: Shows,
}

/// What a mount shows.
pub(super) enum Shows {
    /// Files, as a path in layers.
    Files(Vec<Layer>, String),
    Cache(Cache),
    /// An empty directory with room for so many bytes.
    Memory(Option<u64>),
    Secret(Confidential<Secret>),
    /// The socket of an agent for SSH keys.
    Agent(Confidential<std::path::PathBuf>),
}

pub(super) struct Cache {
    pub(super) id: String,
    pub(super) sharing: Sharing,
    pub(super) permissions: Permissions,
    /// What a new one begins with, as a path in layers.
    pub(super) files: Option<(Vec<Layer>, String)>,
}

/// What is given to the build and is no part of any image.
pub(super) struct Confidential<T> {
    id: String,
    pub(super) permissions: Permissions,
    /// The variable that is it.
    pub(super) variable: Option<String>,
    pub(super) given: Option<T>,
}

impl StageBuild<'_> {
    /// Finds what the mounts of a command show.
    pub(super) fn prepare_mounts(&self, run: &Run) -> Result<Vec<Prepared>, StepError> {
        let mut prepared = Vec::new();
        let mut sockets = 0;
        for mount in &run.mounts {
            prepared.push(match mount.kind {
                MountKind::Bind => self.prepare_files(mount)?,
                MountKind::Cache => self.prepare_cache(mount)?,
                MountKind::Tmpfs => {
                    let target = Some(self.mount_target(mount)?);
                    Prepared { target, read_only: mount.read_only, shows: Shows::Memory(mount.size) }
                }
                MountKind::Secret => self.prepare_secret(mount)?,
                MountKind::Ssh => {
                    sockets += 1;
                    self.prepare_agent(mount, sockets - 1)?
                }
            });
        }
        Ok(prepared)
    }

    fn expand_optional(&self, text: Option<&str>) -> Result<Option<String>, StepError> {
        Ok(text.map(|text| self.scope.expand(text)).transpose()?)
    }

    fn mount_target(&self, mount: &Mount) -> Result<String, StepError> {
        let target = self.absolute(&self.expand_optional(mount.target.as_deref())?.unwrap_or_default());
        Ok(if target == "/" { target } else { target.trim_end_matches('/').to_owned() })
    }

    fn prepare_files(&self, mount: &Mount) -> Result<Prepared, StepError> {
        let source = self.expand_optional(mount.source.as_deref())?.unwrap_or_default();
        let (layers, path) = match self.expand_optional(mount.from.as_deref())? {
            Some(from) => (self.layers_of(&from)?, source),
            None => self.context_layer(&source)?,
        };
        let target = Some(self.mount_target(mount)?);
        Ok(Prepared { target, read_only: mount.read_only, shows: Shows::Files(layers, path) })
    }

    fn prepare_cache(&self, mount: &Mount) -> Result<Prepared, StepError> {
        let target = self.mount_target(mount)?;
        let mut id = self.expand_optional(mount.id.as_deref())?.unwrap_or_else(|| target.clone());
        let files = match self.expand_optional(mount.from.as_deref())? {
            Some(from) => {
                let layers = self.layers_of(&from)?;
                // Another beginning is another cache.
                layers.last().into_iter().for_each(|layer| id.extend([":", layer.diff_id.as_str()]));
                let source = self.expand_optional(mount.source.as_deref())?.unwrap_or_default();
                Some((layers, source))
            }
            None => None,
        };
        let cache =
            Cache { id, sharing: sharing(mount.sharing), permissions: permissions(mount, CACHE_MODE), files };
        Ok(Prepared { target: Some(target), read_only: mount.read_only, shows: Shows::Cache(cache) })
    }

    fn prepare_secret(&self, mount: &Mount) -> Result<Prepared, StepError> {
        let target = mount.target.as_ref().map(|_| self.mount_target(mount)).transpose()?;
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let id = self.expand_optional(mount.id.as_deref())?;
        let id = id.unwrap_or_else(|| last(target.as_deref().unwrap_or_default()));
        let variable = self.expand_optional(mount.variable.as_deref())?;
        let usual = variable.is_none().then(|| format!("/run/secrets/{}", last(&id)));
        let given = self.build.options.secrets.get(&id).cloned();
        require(mount, given.is_some(), "secret", &id)?;
        let permissions = permissions(mount, SECRET_MODE);
        let shows = Shows::Secret(Confidential { id, permissions, variable, given });
        Ok(Prepared { target: target.or(usual), read_only: true, shows })
    }

    fn prepare_agent(&self, mount: &Mount, number: usize) -> Result<Prepared, StepError> {
        let target = mount.target.as_ref().map(|_| self.mount_target(mount)).transpose()?;
        let id = self.expand_optional(mount.id.as_deref())?.unwrap_or_else(|| "default".to_owned());
        let given = self.build.options.ssh.get(&id).cloned();
        require(mount, given.is_some(), "SSH agent", &id)?;
        let permissions = permissions(mount, SOCKET_MODE);
        let shows = Shows::Agent(Confidential { id, permissions, variable: None, given });
        let target = target.or_else(|| Some(format!("{SOCKET}.{number}")));
        Ok(Prepared { target, read_only: false, shows })
    }

    /// Files of the context as a layer, which the cache keeps, and where in it they are: the context itself has other
    /// owners, and holds what .dockerignore leaves out.
    fn context_layer(&self, source: &str) -> Result<(Vec<Layer>, String), StepError> {
        let tree = &self.build.context;
        let selections = select(tree, source, Selecting::default())?;
        let mut key = Key::new("mount", &[]);
        add_to_key(&mut key, &selections)?;
        let (key, _) = key.finish();
        let store = self.build.store;
        let path = match &selections[..] {
            [only] if !only.is_directory => format!("/{}", only.name.to_string_lossy()),
            _ => "/".to_owned(),
        };
        if let Some(CacheEntry { layer: Some(layer), .. }) = store.cache_get(&key) {
            return Ok((vec![layer], path));
        }
        let staged = store.begin_layer(None)?;
        let destination = Destination { path: "/".to_owned(), owner: None, mode: None };
        place(&Root::open(staged.upper())?, &destination, &selections)?;
        let layer = staged.commit()?;
        store.cache_put(&key, &CacheEntry { layer: layer.clone(), created: jiff::Timestamp::now() })?;
        Ok((layer.into_iter().collect(), path))
    }
}

fn require(mount: &Mount, is_given: bool, what: &'static str, id: &str) -> Result<(), StepError> {
    if is_given || !mount.required {
        return Ok(());
    }
    Err(StepError::NotGiven { what, id: id.to_owned() })
}

fn permissions(mount: &Mount, mode: u32) -> Permissions {
    Permissions { mode: mount.mode.unwrap_or(mode), uid: mount.uid, gid: mount.gid }
}

fn sharing(sharing: homeostat_dockerfile::Sharing) -> Sharing {
    match sharing {
        homeostat_dockerfile::Sharing::Shared => Sharing::Shared,
        homeostat_dockerfile::Sharing::Private => Sharing::Private,
        homeostat_dockerfile::Sharing::Locked => Sharing::Locked,
    }
}

impl Prepared {
    /// What the step depends on: what is shown and where, but never what a cache or a secret holds.
    pub(super) fn add_to_key(&self, key: &mut Key) {
        let target = self.target.as_deref().unwrap_or_default();
        let mut values = vec![target.to_owned(), format!("read-only {}", self.read_only)];
        let name = match &self.shows {
            Shows::Files(layers, path) => {
                values.extend(layers.iter().map(|layer| layer.diff_id.to_string()));
                values.push(format!("path {path}"));
                format!("what is mounted on {target}")
            }
            Shows::Cache(cache) => {
                values.push(cache.id.clone());
                format!("the cache on {target}")
            }
            Shows::Memory(size) => {
                values.push(format!("{size:?}"));
                format!("the memory on {target}")
            }
            Shows::Secret(secret) => {
                values.push(format!("{:?} {:?}", secret.permissions, secret.variable));
                format!("the mount of the secret {}", secret.id)
            }
            Shows::Agent(agent) => {
                values.push(format!("{:?}", agent.permissions));
                format!("the mount of the SSH agent {}", agent.id)
            }
        };
        key.add_all(name, values);
    }
}
