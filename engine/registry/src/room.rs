//! Whether there is room for an image, before anything of it is downloaded.

use homeostat_image::ImageStore;

use crate::RegistryError;
use crate::manifest::Layer;

/// How much larger compressed layers become when they are unpacked, about: manifests do not say. Images of
/// distributions have 2.3 to 2.8.
const UNPACKED: u64 = 3;

/// Refuses layers that the disk has no room for. `missing` are those that are not here, each once.
pub(crate) fn ensure(store: &ImageStore, missing: &[Layer]) -> Result<(), RegistryError> {
    let (mut download, mut unpacked) = (0u64, 0u64);
    for layer in missing {
        let size = layer.blob.size;
        download = download.saturating_add(size.saturating_sub(store.downloaded(&layer.blob.digest)));
        let factor = if layer.is_compressed { UNPACKED } else { 1 };
        unpacked = unpacked.saturating_add(size.saturating_mul(factor));
    }
    let free = store.free_space()?;
    if download.saturating_add(unpacked) <= free {
        return Ok(());
    }
    Err(RegistryError::NoRoom { path: store.directory().to_owned(), download, unpacked, free })
}
