//! Images: references.

use std::collections::BTreeSet;
use std::time::Duration;

use homeostat_image::{Digest, Needs, Prune, Unused};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::Progress;

use crate::EmbeddedError;
use crate::engine::Inner;

impl Inner {
    /// Brings an image here from its registry.
    pub(crate) async fn pull_image(
        &self,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<String, EmbeddedError> {
        match self.registries.pull(&self.images, reference, progress).await {
            Ok(id) => Ok(id.to_string()),
            Err(source) => {
                Err(EmbeddedError::Pull { reference: reference.to_owned(), source: Box::new(source) })
            }
        }
    }

    /// Removes a reference, and what only it needed.
    pub(crate) fn remove_image(&self, reference: &str) -> Result<(), EmbeddedError> {
        let Some(image) = self.images.find(reference)? else { return Ok(()) };
        self.images.untag(reference)?;
        // What earlier builds may still be asked for stays, whatever its age: nobody asked for a prune.
        let prune = Prune { keep_cache_for: Duration::MAX, ..Prune::default() };
        self.images.prune(&prune, &AllBut { engine: self, id: &image.id })?;
        Ok(())
    }

    /// The images of containers, but of those that are to be removed.
    pub(crate) fn images_in_use(&self, removed: &BTreeSet<ResourceKey>) -> BTreeSet<Digest> {
        let containers = self.containers();
        let stays = containers.iter().filter(|container| !removed.contains(&container.key));
        stays.filter_map(|container| container.lock().record.image_id.parse().ok()).collect()
    }
}

/// Everything is needed but one image without a name, if no container uses it.
struct AllBut<'a> {
    engine: &'a Inner,
    id: &'a Digest,
}

impl Needs for AllBut<'_> {
    fn in_use(&self) -> BTreeSet<Digest> {
        self.engine.images_in_use(&BTreeSet::new())
    }

    fn keeps(&self, image: &Unused<'_>) -> bool {
        image.reference.is_some() || image.id != self.id
    }
}
