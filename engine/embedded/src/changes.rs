//! The files of containers: what they have changed of those of their images, and all of them in an archive.

use std::io;
use std::path::{Path, PathBuf};

use homeostat_files::{FileError, FileKind, Root};
use homeostat_image::{Difference, DifferenceKind, StoreError};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{FileChange, FileChangeKind};

use crate::EmbeddedError;
use crate::archives::Output;
use crate::engine::Inner;
use crate::record::ContainerRecord;
use crate::root::OwnFiles;

/// Where every container has something mounted.
const MOUNTED: [&str; 6] = ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// How often a look at a copy is repeated while the container removes files.
const LOOKS: usize = 10;

impl Inner {
    /// What a container has changed.
    pub(crate) fn changes(&self, key: &ResourceKey) -> Result<Vec<FileChange>, EmbeddedError> {
        let container = self.require(key)?;
        let record = container.record();
        let layers = self.layers_of(&record)?;
        let own = OwnFiles::of(&container.directory);
        let mut changes = match &own {
            OwnFiles::Upper(upper) => self.images.differences_of_overlay(&layers, upper)?,
            OwnFiles::Copy(copy) => self.compare_copy(&layers, copy)?,
        };
        leave_out_places(&mut changes, &Root::open(own.path())?, &record)?;
        Ok(changes.iter().map(told).collect())
    }

    /// Begins to write the files of a container as an archive. They are read from where they lie: what is mounted over them while
    /// it runs is not among them.
    pub(crate) fn export(
        &self,
        key: &ResourceKey,
    ) -> Result<impl FnOnce(Output) -> Result<(), EmbeddedError> + Send + use<>, EmbeddedError> {
        let container = self.require(key)?;
        let layers = match OwnFiles::of(&container.directory) {
            OwnFiles::Copy(copy) => vec![copy],
            OwnFiles::Upper(upper) => {
                let mut layers = vec![upper];
                layers.extend(self.layers_of(&container.record())?);
                layers
            }
        };
        let images = self.images.clone();
        Ok(move |output| Ok(images.export(&layers, output)?))
    }

    /// The layers of a container's image, the top one first.
    fn layers_of(&self, record: &ContainerRecord) -> Result<Vec<PathBuf>, EmbeddedError> {
        let image = self.images.find(&record.image_id)?;
        let image = image.ok_or_else(|| EmbeddedError::NoImage(record.image.clone()))?;
        Ok(self.images.layer_directories(&image)?)
    }

    fn compare_copy(&self, layers: &[PathBuf], copy: &Path) -> Result<Vec<Difference>, EmbeddedError> {
        let mut looks = 0;
        loop {
            looks += 1;
            match self.images.differences_of_copy(layers, copy) {
                Err(StoreError::File(error)) if error.kind() == io::ErrorKind::NotFound && looks < LOOKS => {}
                compared => return Ok(compared?),
            }
        }
    }
}

/// Leaves out the empty files and directories that were made for something to be mounted there, and the directories that were
/// made or touched for nothing but that.
fn leave_out_places(
    changes: &mut Vec<Difference>,
    files: &Root,
    record: &ContainerRecord,
) -> Result<(), FileError> {
    let of_spec = record.config.mounts.iter().map(|mount| mount.target.as_str());
    let of_image = record.anonymous_volumes.iter().map(String::as_str);
    for target in MOUNTED.into_iter().chain(of_spec).chain(of_image) {
        let place = Path::new(target.trim_start_matches('/'));
        let made = |change: &Difference| change.path == place && change.kind == DifferenceKind::Added;
        let Some(index) = changes.iter().position(made) else { continue };
        if !is_empty(files, place)? {
            continue;
        }
        changes.remove(index);
        for above in place.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            let inside = |change: &Difference| change.path != above && change.path.starts_with(above);
            if changes.iter().any(inside) {
                break;
            }
            changes.retain(|change| change.path != above || change.kind == DifferenceKind::Deleted);
        }
    }
    Ok(())
}

fn is_empty(files: &Root, place: &Path) -> Result<bool, FileError> {
    Ok(match files.symlink_metadata(place)? {
        Some(found) if found.kind == FileKind::Regular => found.size == 0,
        Some(found) if found.is_directory() => files.read_directory(place)?.is_empty(),
        _ => false,
    })
}

fn told(change: &Difference) -> FileChange {
    let kind = match change.kind {
        DifferenceKind::Added => FileChangeKind::Added,
        DifferenceKind::Changed => FileChangeKind::Changed,
        DifferenceKind::Deleted => FileChangeKind::Deleted,
    };
    FileChange { kind, path: format!("/{}", change.path.to_string_lossy()) }
}
