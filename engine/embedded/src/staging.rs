//! Directories that appear and disappear as a whole.

use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_files::{remove_tree, rename_durably, sync_directory};
use homeostat_reconciler::chain;

use crate::EmbeddedError;
use crate::layout::Layout;

/// A directory that is being filled. Dropped before it is put in its place, it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    directory: PathBuf,
}

impl Staged {
    /// A new, empty directory.
    pub(crate) fn create(layout: &Layout) -> Result<Self, EmbeddedError> {
        let directory = layout.staging().join(random_id()?);
        fs::create_dir(&directory)?;
        Ok(Self { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Moves it to `place`, where nothing or an empty directory is. The content must have been synchronized before.
    pub(crate) fn put(self, place: &Path) -> Result<(), EmbeddedError> {
        if let Some(parent) = place.parent() {
            create_directory_durably(parent)?;
        }
        rename_durably(&self.directory, place)?;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `put` nothing is there any more. What cannot be removed now is swept when the engine is opened.
        let _ = remove_tree(&self.directory);
    }
}

/// Moves `path` out of the way at once, which counts, then removes it; a cut between the two leaves only trash.
pub(crate) fn discard(layout: &Layout, path: &Path) -> Result<(), EmbeddedError> {
    let trash = layout.trash().join(random_id()?);
    match rename_durably(path, &trash) {
        Ok(()) => {}
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if let Some(parent) = path.parent() {
        sync_directory(parent)?;
    }
    remove(&trash);
    Ok(())
}

/// Removes what a cut-off creation or removal has left.
pub(crate) fn sweep(layout: &Layout) {
    for directory in [layout.staging(), layout.trash()] {
        let entries = fs::read_dir(&directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match entries {
            Ok(entries) => entries.iter().for_each(|entry| remove(&entry.path())),
            Err(error) => tracing::warn!(%error, "what is left over cannot be listed"),
        }
    }
}

/// A file that cannot be removed (one that was made immutable, a bad disk) costs room, and nothing else.
fn remove(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!(error = chain(&error), "trash stays until the next opening");
    }
}

fn create_directory_durably(path: &Path) -> Result<(), EmbeddedError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    if let Some(parent) = path.parent() {
        sync_directory(parent)?;
    }
    Ok(())
}

/// 32 hex digits that nobody else has.
pub(crate) fn random_id() -> Result<String, EmbeddedError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| EmbeddedError::Random(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
