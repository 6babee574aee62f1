//! A directory of specs.

mod beneath;
mod cache;
mod read;
mod walk;
mod watch;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::{EntryKind, SourcePath, Tree, TreeEntry};
use rustix::fd::OwnedFd;

use crate::content::ContentError;
use crate::staging::Staging;
use cache::DigestCache;
use walk::Walk;

/// A directory of this host as a source.
///
/// The path may go through symbolic links, the last component included; they are followed anew for every
/// snapshot, so that a directory can be replaced by swapping a link. Inside the directory links are
/// followed as long as they stay inside. `.git` is no part of it.
///
/// # Caveats
/// - The tree's digests are computed when they are asked for. What is written between a snapshot and then is seen;
///   [`export`](Source::export) tells by the digest.
/// - A file that is written to without a change of its size, modification and change time (possible through
///   `mmap`, or by a clock set back) is not noticed.
pub struct DirectorySource {
    path: PathBuf,
    cache: Arc<DigestCache>,
}

impl DirectorySource {
    /// The directory at this path, which need not exist yet. A relative path is taken from the working directory of now.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let path = std::path::absolute(&path).unwrap_or(path);
        Self { path, cache: Arc::default() }
    }
}

#[async_trait]
impl Source for DirectorySource {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    async fn snapshot(&self) -> Result<Snapshot, PortError> {
        let (path, cache) = (self.path.clone(), Arc::clone(&self.cache));
        blocking(move || {
            let (root, specs) = read::specs(&path)?;
            cache.next_generation();
            let revision = read::revision(&specs);
            Ok(Snapshot { revision, specs, tree: Arc::new(DirectoryTree { root, cache }) })
        })
        .await
    }

    async fn export(
        &self,
        _snapshot: &Snapshot,
        path: &SourcePath,
        destination: &Path,
    ) -> Result<(), PortError> {
        let (source, path, destination) = (self.path.clone(), path.clone(), destination.to_owned());
        let cache = Arc::clone(&self.cache);
        blocking(move || export(&source, &path, &destination, &cache)).await
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        watch::changes(self.path.clone())
    }
}

fn export(
    source: &Path,
    path: &SourcePath,
    destination: &Path,
    cache: &DigestCache,
) -> Result<(), PortError> {
    let root = beneath::open_root(source)?;
    let entry = beneath::open(&root, &path.path)?
        .ok_or_else(|| PortError::new(ErrorKind::User, format!("{} is not there any more", path.path)))?;
    let staging = Staging::new(destination)?;
    let digest = Walk::new(cache).copy(&entry, Path::new(&path.path), staging.parent(), staging.name())?;
    if digest != path.digest {
        return Err(PortError::from(ContentError::Changed(path.path.clone()))
            .with_hint("the next snapshot will have the new content"));
    }
    staging.commit()
}

struct DirectoryTree {
    root: OwnedFd,
    cache: Arc<DigestCache>,
}

impl Tree for DirectoryTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, String> {
        let Some(entry) = beneath::open(&self.root, path).map_err(|error| error.line())? else {
            return Ok(None);
        };
        let kind = if entry.is_directory() { EntryKind::Directory } else { EntryKind::File };
        let digest = Walk::new(&self.cache).digest(&entry, Path::new(path)).map_err(|error| error.line())?;
        Ok(Some(TreeEntry { kind, digest }))
    }
}

/// Runs what may wait for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(PortError::new(ErrorKind::Internal, "reading the source panicked").caused_by(error))
    })
}
