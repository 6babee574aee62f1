//! Whether there is room for an image, before anything of it is downloaded.

use homeostat_image::ImageStore;

use crate::RegistryError;
use crate::manifest::Layer;

/// Refuses layers that the disk has no room for. `missing` are those that are not here, each once.
pub(crate) fn ensure(store: &ImageStore, missing: &[Layer]) -> Result<(), RegistryError> {
    let (mut download, mut unpacked) = (0u64, 0u64);
    for layer in missing {
        let size = layer.blob.size;
        download = download.saturating_add(size.saturating_sub(store.downloaded(&layer.blob.digest)));
        unpacked = unpacked.saturating_add(ImageStore::unpacked_size(size, layer.is_compressed));
    }
    let free = store.free_space()?;
    if download.saturating_add(unpacked) <= free {
        return Ok(());
    }
    Err(RegistryError::NoRoom { path: store.directory().to_owned(), download, unpacked, free })
}
