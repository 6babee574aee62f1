//! Whether the disk has room for what an archive holds, before it is written.

use std::collections::HashSet;

use super::{Described, Loading};
use crate::{ImageStore, StoreError};

/// Refuses a file of the archive that there is no room for.
pub(super) fn ensure_for_file(store: &ImageStore, size: u64) -> Result<(), StoreError> {
    store.ensure_room("a file of the archive", size)
}

impl Loading<'_> {
    /// Refuses images whose layers there is no room for once they are unpacked. The archive itself is here by now.
    pub(super) fn ensure_room(&self, images: &[Described]) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut needed = 0_u64;
        for (file, diff_id) in images.iter().flat_map(|image| &image.layers) {
            if seen.insert(diff_id) && !self.store.use_layer(diff_id) {
                let file = self.entries.file(file);
                needed = needed.saturating_add(ImageStore::unpacked_size(file.size, file.is_compressed));
            }
        }
        self.store.ensure_room("what the archive holds, unpacked,", needed)
    }
}
