//! The rest of the store: its index, blobs that no layer of an image has, the build cache.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use homeostat_files::remove_tree;

use super::{CheckReport, Finding, Problem};
use crate::cache::{CacheEntry, read_entry};
use crate::index::DAMAGED;
use crate::{Digest, ImageStore, StoreError};

impl ImageStore {
    /// Compares the index on disk with the one in use.
    pub(super) fn check_index(&self, report: &mut CheckReport, repair: bool) -> Result<(), StoreError> {
        let state = self.state();
        if !state.index.is_on_disk(self.directory()) {
            if repair {
                state.index.save(self.directory())?;
            }
            let reason = "the index on disk, or its copy, is not the one in use".to_owned();
            report.findings.push(Finding { problem: Problem::Index { reason }, repaired: repair });
        }
        let aside = self.directory().join(DAMAGED);
        if aside.exists() {
            let reason = format!("it was damaged when the store was opened, and lies in {DAMAGED}");
            if repair {
                fs::remove_file(aside)?;
            }
            report.findings.push(Finding { problem: Problem::Index { reason }, repaired: repair });
        }
        Ok(())
    }

    /// Compares the blobs with their digests that were not looked at yet. What nobody can read any more is removed by a
    /// repair: it would be taken for what its name says.
    pub(super) fn check_blobs(
        &self,
        report: &mut CheckReport,
        repair: bool,
        seen: &BTreeSet<Digest>,
    ) -> Result<(), StoreError> {
        for digest in self.blobs()? {
            report.blobs += 1;
            if seen.contains(&digest)
                || self.verify_blob(&digest).is_ok()
                || !self.blob_path(&digest).exists()
            {
                continue;
            }
            if repair {
                fs::remove_file(self.blob_path(&digest))?;
            }
            report.findings.push(Finding { problem: Problem::StrayBlob { digest }, repaired: repair });
        }
        Ok(())
    }

    /// Looks for cache entries that cannot be used; a repair removes them, and their steps run again.
    pub(super) fn check_cache(&self, report: &mut CheckReport, repair: bool) -> Result<(), StoreError> {
        for file in fs::read_dir(self.directory().join("cache"))? {
            let path = file?.path();
            report.cache += 1;
            let is_here = |diff_id: &Digest| self.state().layers.contains_key(diff_id);
            if is_usable(&path, is_here) {
                continue;
            }
            if repair {
                remove_tree(&path)?;
            }
            let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            report.findings.push(Finding { problem: Problem::Cache { key }, repaired: repair });
        }
        Ok(())
    }
}

/// Whether a cache entry can be read, and its layer is here.
pub(crate) fn is_usable(path: &Path, is_here: impl Fn(&Digest) -> bool) -> bool {
    match read_entry(path) {
        Some(CacheEntry { layer: Some(layer), .. }) => is_here(&layer.diff_id),
        Some(CacheEntry { layer: None, .. }) => true,
        None => false,
    }
}
