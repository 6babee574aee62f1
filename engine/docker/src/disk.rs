//! What the engine has on its disk.

use std::collections::BTreeSet;

use bollard::models::ImageSummary;
use homeostat_reconciler::ports::{DiskUsage, Taken};

use crate::engine::Inner;
use crate::failure::Failure;
use crate::prune::images::own_bytes;
use crate::prune::{Gone, SIZED};
use crate::read::image_id;
use crate::told;

impl Inner {
    pub(crate) async fn disk_usage(&self) -> Result<DiskUsage, Failure> {
        let api = self.api().await?;
        let told = self.hear_within(SIZED, told::disk_usage(&api, &self.endpoint, false)).await?;
        let used = self.used_images(&Gone::default()).await?;
        let mut usage = taken(&told);
        usage.images =
            images(&self.sized_images().await?, &used, bytes(told.layers_size.unwrap_or_default()));
        Ok(usage)
    }
}

/// What images take, with the size of all layers if the engine tells that; else each counts as a whole.
fn images(listed: &[ImageSummary], used: &BTreeSet<String>, layers: u64) -> Taken {
    let mut taken = Taken::default();
    for image in listed {
        taken.add(used.contains(&image_id(&image.id)), own_bytes(image));
    }
    let whole = listed.iter().map(|image| bytes(image.size)).sum();
    Taken { bytes: if layers > 0 { layers } else { whole }, ..taken }
}

fn taken(told: &told::DiskUsage) -> DiskUsage {
    let mut usage = DiskUsage::default();
    for container in told.containers.iter().flatten() {
        let is_alive = matches!(container.state.as_deref(), Some("running" | "paused" | "restarting"));
        usage.containers.add(is_alive, bytes(container.size_rw.unwrap_or_default()));
    }
    for volume in told.volumes.iter().flatten() {
        let told = volume.usage_data.as_ref();
        let is_used = told.is_some_and(|told| told.ref_count > 0);
        usage.volumes.add(is_used, bytes(told.map_or(0, |told| told.size)));
    }
    for record in told.build_cache.iter().flatten() {
        usage.build_cache.add(record.in_use, record.bytes());
    }
    usage
}

/// What an engine does not know it tells as -1.
fn bytes(told: i64) -> u64 {
    told.try_into().unwrap_or_default()
}
