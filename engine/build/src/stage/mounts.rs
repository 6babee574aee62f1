//! `RUN --mount`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use homeostat_dockerfile::{Ignore, Mount, MountKind, Run};
use homeostat_files::{Permissions, Root};
use homeostat_image::{CacheEntry, CacheMount, Layer, Sharing};

use super::StageBuild;
use crate::copy::{Destination, Selecting, Tree, add_to_key, place, select};
use crate::key::Key;
use crate::mounts::View;
use crate::resolve::real_path;
use crate::{MountSource, StepError, StepMount};

/// The mode of a new cache.
const CACHE_MODE: u32 = 0o755;

/// What a mount shows, with its variables put in and everything at its place: what the step depends on.
pub(super) struct Prepared {
    kind: MountKind,
    target: String,
    read_only: bool,
    /// Of a mount that shows files: where they are, as layers and a path in them.
    files: Option<(Vec<Layer>, String)>,
    cache: Option<Cache>,
}

struct Cache {
    id: String,
    sharing: Sharing,
    permissions: Permissions,
}

impl StageBuild<'_> {
    /// Finds what the mounts of a command show. Secrets and sockets that nobody gave are not mounted.
    pub(super) fn prepare_mounts(&self, run: &Run) -> Result<Vec<Prepared>, StepError> {
        let mut prepared = Vec::new();
        for mount in &run.mounts {
            match mount.kind {
                MountKind::Secret | MountKind::Ssh => self.refuse_required(mount)?,
                MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => {
                    prepared.push(self.prepare_mount(mount)?);
                }
            }
        }
        Ok(prepared)
    }

    fn refuse_required(&self, mount: &Mount) -> Result<(), StepError> {
        if !mount.required {
            return Ok(());
        }
        let what = if mount.kind == MountKind::Secret { "secret" } else { "SSH agent" };
        let id = self.scope.expand(mount.id.as_deref().unwrap_or("default"))?;
        Err(StepError::NotGiven { what, id })
    }

    fn prepare_mount(&self, mount: &Mount) -> Result<Prepared, StepError> {
        let expand = |text: &Option<String>| text.as_deref().map(|text| self.scope.expand(text)).transpose();
        let target = self.absolute(&expand(&mount.target)?.unwrap_or_default());
        let target = if target == "/" { target } else { target.trim_end_matches('/').to_owned() };
        let source = expand(&mount.source)?.unwrap_or_default();
        let files = match (mount.kind, expand(&mount.from)?) {
            (MountKind::Bind, None) => Some(self.context_layer(&source)?),
            (MountKind::Bind | MountKind::Cache, Some(from)) => Some((self.layers_of(&from)?, source)),
            _ => None,
        };
        let cache = (mount.kind == MountKind::Cache).then(|| -> Result<_, StepError> {
            let mode = mount.mode.unwrap_or(CACHE_MODE);
            let id = expand(&mount.id)?.unwrap_or_else(|| target.clone());
            let permissions = Permissions { mode, uid: mount.uid, gid: mount.gid };
            Ok(Cache { id, sharing: sharing(mount.sharing), permissions })
        });
        let cache = cache.transpose()?;
        Ok(Prepared { kind: mount.kind, target, read_only: mount.read_only, files, cache })
    }

    /// Files of the context as a layer, which the cache keeps, and where in it they are: the context itself has other
    /// owners, and holds what .dockerignore leaves out.
    fn context_layer(&self, source: &str) -> Result<(Vec<Layer>, String), StepError> {
        let tree = &self.build.context;
        let selections = select(tree, source, Selecting::default())?;
        let mut key = Key::new("mount", &[]);
        add_to_key(&mut key, tree, &selections)?;
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
        place(&Root::open(staged.upper())?, &destination, tree, &selections)?;
        let layer = staged.commit()?;
        store.cache_put(&key, &CacheEntry { layer: layer.clone(), created: jiff::Timestamp::now() })?;
        Ok((layer.into_iter().collect(), path))
    }

    /// Mounts what shows files, and says what the command is to see. What is held is to be kept as long as it runs.
    pub(super) fn mount_all(&self, prepared: &[Prepared]) -> Result<(Vec<StepMount>, Held), StepError> {
        let mut held = Held { views: Vec::new(), caches: self.caches(prepared)? };
        let mut mounts = Vec::new();
        for mount in prepared {
            let source = match (&mount.cache, &mount.files) {
                (Some(cache), _) => MountSource::Directory(held.caches[&cache.id].path.clone()),
                (None, Some((layers, path))) => {
                    let view = View::with(self.build.store, layers, !mount.read_only)?;
                    let source = view.path(path)?;
                    held.views.push(view);
                    MountSource::Directory(source)
                }
                (None, None) => MountSource::Memory,
            };
            mounts.push(StepMount { source, target: mount.target.clone(), read_only: mount.read_only });
        }
        Ok((mounts, held))
    }

    /// The caches of a step, each once. In order of their ids: of two steps that wait for more than one, none has what
    /// the other waits for.
    fn caches(&self, prepared: &[Prepared]) -> Result<BTreeMap<String, CacheMount>, StepError> {
        let mut wanted: Vec<(&Cache, &Prepared)> =
            prepared.iter().filter_map(|mount| Some((mount.cache.as_ref()?, mount))).collect();
        wanted.sort_by(|one, other| one.0.id.cmp(&other.0.id));
        wanted.dedup_by(|one, other| one.0.id == other.0.id);
        let mut caches = BTreeMap::new();
        for (cache, mount) in wanted {
            caches.insert(cache.id.clone(), self.cache(cache, mount.files.as_ref())?);
        }
        Ok(caches)
    }

    /// The directory of a cache; a new one begins with the files that are given.
    fn cache(&self, cache: &Cache, files: Option<&(Vec<Layer>, String)>) -> Result<CacheMount, StepError> {
        let (store, cancel) = (self.build.store, &self.build.cancel);
        let woken = store.clone();
        let _watching = cancel.watch(move || woken.wake_cache_mounts());
        let is_cancelled = || cancel.is_cancelled();
        let mount = store.cache_mount(&cache.id, cache.sharing, cache.permissions, &is_cancelled)?;
        let mount = mount.ok_or(StepError::Cancelled)?;
        if let (true, Some((layers, source))) = (mount.is_new, files) {
            let view = View::new(store, layers)?;
            let (root, title) = (view.root()?, String::new());
            let tree = Tree { root, ignore: Ignore::default(), title, keep_owner: true };
            let selections = select(&tree, source, Selecting::default())?;
            let destination = Destination { path: "/".to_owned(), owner: None, mode: None };
            place(&Root::open(&mount.path)?, &destination, &tree, &selections)?;
        }
        Ok(mount)
    }
}

fn sharing(sharing: homeostat_dockerfile::Sharing) -> Sharing {
    match sharing {
        homeostat_dockerfile::Sharing::Shared => Sharing::Shared,
        homeostat_dockerfile::Sharing::Private => Sharing::Private,
        homeostat_dockerfile::Sharing::Locked => Sharing::Locked,
    }
}

/// What a command uses while it runs.
pub(super) struct Held {
    views: Vec<View>,
    caches: BTreeMap<String, CacheMount>,
}

impl Prepared {
    /// What the step depends on: what is shown and where, but not what a cache holds.
    pub(super) fn add_to_key(&self, key: &mut Key) {
        let mut values = vec![format!("{:?} {}", self.kind, self.read_only)];
        if let Some((layers, source)) = &self.files {
            values.extend(layers.iter().map(|layer| layer.diff_id.to_string()));
            values.push(format!("source {source}"));
        }
        values.extend(self.cache.as_ref().map(|cache| format!("id {}", cache.id)));
        key.add_all(format!("what is mounted on {}", self.target), values);
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
