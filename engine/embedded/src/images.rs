//! Images: references and prunes.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat_image::{Digest, Prune};
use homeostat_reconciler::ports::{ImagePrune, Pruned};

use crate::EmbeddedError;
use crate::engine::Inner;

/// Build steps that were used within this time are not pruned: the next build is likely to need them.
const CACHE_KEPT: Duration = Duration::from_hours(24);

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
        Ok(Pruned { images: pruned.references, bytes: pruned.bytes })
    }

    fn images_in_use(&self) -> BTreeSet<Digest> {
        let containers = self.containers();
        let ids = containers.iter().map(|container| container.lock().record.image_id.clone());
        ids.filter_map(|id| id.parse().ok()).collect()
    }
}
