//! Images: references, and prunes of them and of logs that nobody needs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use homeostat_image::{Digest, Prune};
use homeostat_reconciler::ports::{ImagePrune, Pruned};

use crate::EmbeddedError;
use crate::engine::Inner;
use crate::staging::discard;
use crate::volumes::keys_beneath;

/// Build steps that were used within this time are not pruned: the next build is likely to need them.
const CACHE_KEPT: Duration = Duration::from_hours(24);

/// The log of a container that is no more is kept so long after its last line.
const LOGS_KEPT: Duration = Duration::from_hours(7 * 24);

impl Inner {
    /// The image with this reference, which must be here.
    pub(crate) fn pull_image(&self, reference: &str) -> Result<String, EmbeddedError> {
        match self.images.find(reference)? {
            Some(image) => Ok(image.id.to_string()),
            None => Err(EmbeddedError::NoImage(reference.to_owned())),
        }
    }

    /// Removes a reference, and what only it needed.
    pub(crate) fn remove_image(&self, reference: &str) -> Result<(), EmbeddedError> {
        if !self.images.untag(reference)? {
            return Ok(());
        }
        let keep = self.images.list().into_iter().flat_map(|image| image.references).collect();
        // What earlier builds may still be asked for stays, whatever its age: nobody asked for a prune.
        let keep_cache_for = Duration::MAX;
        self.images.prune(&Prune { in_use: self.images_in_use(), keep, keep_cache_for, dry_run: false })?;
        Ok(())
    }

    /// Removes images that no container uses and nobody asks to keep.
    pub(crate) fn prune_images(&self, request: &ImagePrune) -> Result<Pruned, EmbeddedError> {
        let pruned = self.images.prune(&Prune {
            in_use: self.images_in_use(),
            keep: request.keep.clone(),
            keep_cache_for: CACHE_KEPT,
            dry_run: request.dry_run,
        })?;
        let bytes = pruned.bytes + self.prune_logs(request.dry_run)?;
        Ok(Pruned { images: pruned.references, bytes })
    }

    /// Removes logs of containers that are no more, when nobody has written to them for long. Returns their bytes.
    fn prune_logs(&self, dry_run: bool) -> Result<u64, EmbeddedError> {
        let mut bytes = 0;
        for key in keys_beneath(&self.layout.logs())? {
            let directory = self.layout.log(&key);
            if self.find(&key).is_some() || !is_old(&directory)? {
                continue;
            }
            for file in fs::read_dir(&directory)? {
                bytes += file?.metadata()?.len();
            }
            if !dry_run {
                discard(&self.layout, &directory)?;
            }
        }
        Ok(bytes)
    }

    fn images_in_use(&self) -> BTreeSet<Digest> {
        let containers = self.containers();
        let ids = containers.iter().map(|container| container.lock().record.image_id.clone());
        ids.filter_map(|id| id.parse().ok()).collect()
    }
}

/// Whether no file of a log has been written to for [`LOGS_KEPT`].
fn is_old(directory: &Path) -> Result<bool, EmbeddedError> {
    let mut newest = fs::metadata(directory)?.modified()?;
    for file in fs::read_dir(directory)? {
        newest = newest.max(file?.metadata()?.modified()?);
    }
    // A clock that was set back makes it look as if written in the future: then it is recent.
    Ok(newest.elapsed().is_ok_and(|age| age > LOGS_KEPT))
}
