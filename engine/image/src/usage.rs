//! What the store takes on disk, and what is free there.

use std::collections::BTreeSet;

use fs_err as fs;
use homeostat_files::disk_usage;

use crate::cache::read_entry;
use crate::garbage::parts;
use crate::store::by_manifest;
use crate::{Digest, ImageStore, StoreError};

/// What the store takes on disk. What several have counts once, and for images first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// How many images there are.
    pub images: u64,
    /// How many of them are in use.
    pub images_in_use: u64,
    /// What all images take, in bytes.
    pub image_bytes: u64,
    /// What would be free without the images that are not in use, in bytes.
    pub unused_image_bytes: u64,
    /// How many cache entries there are.
    pub cache_entries: u64,
    /// What these take beside the images, in bytes.
    pub cache_bytes: u64,
}

impl ImageStore {
    /// What the store takes on disk. `in_use` are the ids of images that containers use. What goes away meanwhile takes
    /// nothing.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn usage(&self, in_use: &BTreeSet<Digest>) -> Result<StoreUsage, StoreError> {
        let mut usage = StoreUsage::default();
        let (mut used, mut unused) = (BTreeSet::new(), BTreeSet::new());
        let manifests: Vec<Digest> = by_manifest(&self.state().index).into_keys().collect();
        for manifest in manifests {
            let Some(image) = self.readable(&manifest) else { continue };
            let is_used = in_use.contains(&image.id);
            usage.images += 1;
            usage.images_in_use += u64::from(is_used);
            let of_image = [image.id.clone(), manifest].into_iter().chain(parts(&image));
            if is_used { used.extend(of_image) } else { unused.extend(of_image) }
        }
        let mut cached = BTreeSet::new();
        for file in fs::read_dir(self.directory().join("cache"))? {
            let path = file?.path();
            let layer = read_entry(&path).and_then(|entry| entry.layer);
            cached.extend(layer.into_iter().flat_map(|layer| [layer.diff_id, layer.digest]));
            usage.cache_entries += 1;
            usage.cache_bytes += fs::metadata(&path).map_or(0, |file| file.len());
        }
        for directory in fs::read_dir(self.directory().join("mounts"))? {
            usage.cache_entries += 1;
            usage.cache_bytes += disk_usage(directory?.path()).unwrap_or_default();
        }
        usage.unused_image_bytes = self.sizes(unused.difference(&used));
        usage.image_bytes = self.sizes(used.iter()) + usage.unused_image_bytes;
        let of_images = |digest: &&Digest| used.contains(*digest) || unused.contains(*digest);
        usage.cache_bytes += self.sizes(cached.iter().filter(|digest| !of_images(digest)));
        Ok(usage)
    }

    /// What can still be written to the disk with the store, in bytes, without what the file system keeps for root.
    ///
    /// # Errors
    /// When the disk cannot be asked.
    pub fn free_space(&self) -> Result<u64, StoreError> {
        let told = rustix::fs::statvfs(self.directory()).map_err(std::io::Error::from)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }

    /// What a layer takes unpacked, about, in bytes. How large a compressed one becomes nobody says; those of distributions
    /// become 2.3 to 2.8 times as large.
    pub fn unpacked_size(size: u64, is_compressed: bool) -> u64 {
        size.saturating_mul(if is_compressed { 3 } else { 1 })
    }

    /// Refuses what the disk has no room for.
    pub(crate) fn ensure_room(&self, what: &'static str, needed: u64) -> Result<(), StoreError> {
        let free = self.free_space()?;
        if needed <= free {
            return Ok(());
        }
        Err(StoreError::NoRoom { what, path: self.directory().to_owned(), needed, free })
    }

    /// What blobs and layers take on disk.
    fn sizes<'a>(&self, digests: impl Iterator<Item = &'a Digest>) -> u64 {
        let size = |digest: &Digest| {
            let blob = fs::metadata(self.blob_path(digest)).map_or(0, |file| file.len());
            blob + disk_usage(self.layer_path(digest)).unwrap_or_default()
        };
        digests.map(size).sum()
    }
}
