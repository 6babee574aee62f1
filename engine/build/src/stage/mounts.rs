//! `RUN --mount`.

use std::path::{Path, PathBuf};

use homeostat_dockerfile::{Ignore, Mount, MountKind, Run};
use homeostat_files::{Permissions, Root};
use homeostat_image::{CacheEntry, Layer};

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
            Ok(Cache { id, permissions: Permissions { mode, uid: mount.uid, gid: mount.gid } })
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
        let key = key.finish();
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

    /// Mounts what shows files, and says what the command is to see. The views are to be kept as long as it runs.
    pub(super) fn mount_all(&self, prepared: &[Prepared]) -> Result<(Vec<StepMount>, Vec<View>), StepError> {
        let mut views = Vec::new();
        let mut mounts = Vec::new();
        for mount in prepared {
            let source = match (&mount.cache, &mount.files) {
                (Some(cache), files) => MountSource::Directory(self.cache_directory(cache, files.as_ref())?),
                (None, Some((layers, path))) => {
                    let view = View::with(self.build.store, layers, !mount.read_only)?;
                    let source = view.path(path)?;
                    views.push(view);
                    MountSource::Directory(source)
                }
                (None, None) => MountSource::Memory,
            };
            mounts.push(StepMount { source, target: mount.target.clone(), read_only: mount.read_only });
        }
        Ok((mounts, views))
    }

    /// The directory of a cache; a new one begins with the files that are given.
    fn cache_directory(
        &self,
        cache: &Cache,
        files: Option<&(Vec<Layer>, String)>,
    ) -> Result<PathBuf, StepError> {
        let (directory, is_new) = self.build.store.cache_directory(&cache.id, cache.permissions)?;
        if let (true, Some((layers, source))) = (is_new, files) {
            let view = View::new(self.build.store, layers)?;
            let tree = Tree { root: view.root()?, ignore: Ignore::default(), keep_owner: true };
            let selections = select(&tree, source, Selecting::default())?;
            let destination = Destination { path: "/".to_owned(), owner: None, mode: None };
            place(&Root::open(&directory)?, &destination, &tree, &selections)?;
        }
        Ok(directory)
    }
}

impl Prepared {
    /// What the step depends on: what is shown and where, but not what a cache holds.
    pub(super) fn add_to_key(&self, key: &mut Key) {
        key.add(format!("{:?} {}", self.kind, self.read_only));
        key.add(&self.target);
        if let Some((layers, source)) = &self.files {
            key.add_all(layers.iter().map(|layer| layer.diff_id.as_str()));
            key.add(source);
        }
        key.add(self.cache.as_ref().map_or("", |cache| &cache.id));
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
