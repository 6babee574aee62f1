//! Files of the source on this host: what containers mount, and the contexts of builds.
//!
//! `DIRECTORY/mounted/DIGEST` holds each mounted file or tree; `DIRECTORY/contexts/N` a build context
//! while its build runs.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::SourcePath;

/// Where the files of the desired state can be had: a source and the snapshot that was compiled.
#[derive(Clone)]
pub struct Origin {
    /// The source.
    pub source: Arc<dyn Source>,
    /// Its snapshot.
    pub snapshot: Snapshot,
}

/// See the module's documentation.
#[derive(Clone)]
pub struct SourceFiles {
    mounted: PathBuf,
    contexts: PathBuf,
    counter: Arc<AtomicU64>,
}

impl SourceFiles {
    /// Uses `directory`; contexts that a killed build left there are removed.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, PortError> {
        let files = Self {
            mounted: directory.join("mounted"),
            contexts: directory.join("contexts"),
            counter: Arc::default(),
        };
        files.prepare().map_err(|e| {
            PortError::new(ErrorKind::Config, "the directory for files of the source cannot be used")
                .caused_by(e)
        })?;
        Ok(files)
    }

    fn prepare(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        fs_err::create_dir_all(&self.mounted)?;
        for entry in fs_err::read_dir(&self.mounted)? {
            let entry = entry?;
            // An export that was cut off by a crash.
            if is_unfinished(&entry.file_name()) {
                homeostat_files::remove_tree(entry.path())?;
            }
        }
        homeostat_files::remove_tree(&self.contexts)?;
        Ok(fs_err::create_dir_all(&self.contexts)?)
    }

    /// Where each mounted file lies under its digest.
    pub fn directory(&self) -> &Path {
        &self.mounted
    }

    /// The digests that are here.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn digests(&self) -> Result<BTreeSet<String>, PortError> {
        let list = || -> std::io::Result<BTreeSet<String>> {
            let mut digests = BTreeSet::new();
            for entry in fs_err::read_dir(&self.mounted)? {
                let name = entry?.file_name();
                if !is_unfinished(&name) {
                    digests.insert(name.to_string_lossy().into_owned());
                }
            }
            Ok(digests)
        };
        list().map_err(|e| PortError::new(ErrorKind::Config, "mounted files cannot be listed").caused_by(e))
    }

    /// Writes a path of the source out so that it can be mounted.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn export(&self, origin: Option<&Origin>, path: &SourcePath) -> Result<(), PortError> {
        let destination = self.mounted.join(&path.digest);
        if destination.exists() {
            return Ok(());
        }
        let origin = need(origin, path)?;
        origin.source.export(&origin.snapshot, path, &destination).await
    }

    /// Writes a build context out, for as long as the returned value lives.
    ///
    /// # Errors
    /// Those of the source.
    pub async fn context(&self, origin: Option<&Origin>, path: &SourcePath) -> Result<Context, PortError> {
        let origin = need(origin, path)?;
        let destination = self.contexts.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string());
        let context = Context { directory: destination.clone() };
        origin.source.export(&origin.snapshot, path, &destination).await?;
        Ok(context)
    }

    /// Removes what was written out under a digest.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub async fn remove(&self, digest: &str) -> Result<(), PortError> {
        let path = self.mounted.join(digest);
        let removal = tokio::task::spawn_blocking(move || homeostat_files::remove_tree(path));
        match removal.await {
            Ok(result) => result.map(drop).map_err(|e| {
                PortError::new(ErrorKind::Transient, "a mounted file could not be removed").caused_by(e)
            }),
            Err(panic) => {
                Err(PortError::new(ErrorKind::Internal, "removing a file panicked").caused_by(panic))
            }
        }
    }
}

/// Sources write to a hidden name first.
fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn need<'a>(origin: Option<&'a Origin>, path: &SourcePath) -> Result<&'a Origin, PortError> {
    origin.ok_or_else(|| {
        PortError::new(
            ErrorKind::Transient,
            format!("{} is needed and the source has not been read since the start", shown(path)),
        )
        .with_hint("this goes on by itself once the source can be reached")
    })
}

/// A build context on disk, removed when dropped.
pub struct Context {
    directory: PathBuf,
}

impl Context {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Left over at worst until the next start, which empties the directory it is in.
        let _ = fs_err::remove_dir_all(&self.directory);
    }
}

/// A path of the source for messages.
pub(crate) fn shown(path: &SourcePath) -> String {
    if path.path.is_empty() { "the root of the source".to_owned() } else { format!("./{}", path.path) }
}
