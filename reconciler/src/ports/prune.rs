//! What an engine is asked to remove, and what it removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use homeostat_spec::{DiskRule, Name, PruneKind, PruneRule};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::desired::builder_of;
use crate::{ContainerState, ObservedContainer, ResourceKey};

/// What to remove of what nobody needs. What is in use or being made is never removed, whatever is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneRequest {
    /// The rule of each kind; what has none is left alone.
    pub rules: BTreeMap<PruneKind, PruneRule>,
    /// What is declared stays.
    pub keep: Keep,
    /// Volumes of homeostat's own that may be removed with their content, if no container uses them; others never are.
    pub volumes: BTreeSet<ResourceKey>,
    /// What homeostat does not own may be removed too: exited containers, unused images, anonymous volumes, build cache.
    pub others: bool,
    /// Where an engine keeps images on a disk of this host by itself: if that is this full, unused images and build
    /// cache go too whatever the rules say, the longest unneeded first, until there is room. What stays, stays.
    pub room: Option<DiskRule>,
    /// The time that ages are counted up to.
    pub now: Timestamp,
    /// Change nothing.
    pub dry_run: bool,
}

/// What stays though nobody uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Apps of which everything stays: nobody knows what their specs say.
    pub apps: BTreeSet<Name>,
    /// Containers.
    pub containers: BTreeSet<ResourceKey>,
    /// References of images.
    pub images: BTreeSet<String>,
    /// Ids of images: what containers had before, to go back to.
    pub image_ids: BTreeSet<String>,
}

impl Keep {
    /// Whether a container of homeostat's stays.
    pub fn container(&self, key: &ResourceKey) -> bool {
        self.containers.contains(key) || self.apps.contains(&key.app)
    }

    /// Whether an image stays under this reference.
    pub fn image(&self, reference: &str) -> bool {
        self.images.contains(reference) || builder_of(reference).is_some_and(|app| self.apps.contains(app))
    }
}

impl PruneRequest {
    /// How long nobody has needed something that the rule of its kind takes; `None` if it stays. What is dangling has
    /// no name.
    ///
    /// What was needed last in the future (a clock was set back) was needed just now.
    pub fn takes(
        &self,
        kind: PruneKind,
        name: Option<&str>,
        labels: &BTreeMap<String, String>,
        needed: Timestamp,
    ) -> Option<Duration> {
        let age = Duration::try_from(self.now.duration_since(needed)).unwrap_or_default();
        self.rules.get(&kind)?.takes(age, name, labels).then_some(age)
    }

    /// For how long a container of homeostat's has been exited, if it is to be removed.
    pub fn takes_container(&self, key: &ResourceKey, container: &ObservedContainer) -> Option<Duration> {
        let exit = container.exit.as_ref().filter(|_| container.state == ContainerState::Exited)?;
        if self.keep.container(key) {
            return None;
        }
        let labels = &container.config.labels;
        self.takes(PruneKind::Container, Some(&key.to_string()), labels, exit.finished_at)
    }

    /// For how long nobody has needed an image that no container uses under this reference, if it is to be removed.
    pub fn takes_image(
        &self,
        id: &str,
        reference: Option<&str>,
        labels: &BTreeMap<String, String>,
        needed: Timestamp,
    ) -> Option<Duration> {
        if self.keep.image_ids.contains(id) || reference.is_some_and(|reference| self.keep.image(reference)) {
            return None;
        }
        self.takes(PruneKind::Image, reference, labels, needed)
    }

    /// For how long nobody has used a volume of homeostat's that no container uses, if it is to be removed.
    pub fn takes_volume(
        &self,
        key: &ResourceKey,
        labels: &BTreeMap<String, String>,
        needed: Timestamp,
    ) -> Option<Duration> {
        let may_go = self.volumes.contains(key) && !self.keep.apps.contains(&key.app);
        self.takes(PruneKind::Volume, Some(&key.to_string()), labels, needed).filter(|_| may_go)
    }
}

/// What a prune removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Everything, by kind and name.
    pub items: Vec<PrunedItem>,
    /// So full, in hundredths, is the disk still where room was asked for and could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still_full: Option<u8>,
}

/// Something that was, or would be, removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PrunedItem {
    /// What it is.
    pub kind: PruneKind,
    /// Reference, key, or the engine's id of what has no name.
    pub name: String,
    /// Bytes freed on disk. What several items share counts for one of them.
    pub bytes: u64,
    /// For how many seconds nobody had needed it.
    pub age_seconds: u64,
}

impl PrunedItem {
    /// Something that nobody has needed for so long.
    pub fn new(kind: PruneKind, name: impl Into<String>, bytes: u64, age: Duration) -> Self {
        Self { kind, name: name.into(), bytes, age_seconds: age.as_secs() }
    }
}

impl Pruned {
    /// These, in order.
    pub fn of(mut items: Vec<PrunedItem>) -> Self {
        items.sort();
        Self { items, still_full: None }
    }

    /// Bytes freed on disk in all.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// How many items of each kind there are, and their bytes.
    pub fn by_kind(&self) -> BTreeMap<PruneKind, (u64, u64)> {
        let mut kinds = BTreeMap::<_, (u64, u64)>::new();
        for item in &self.items {
            let (count, bytes) = kinds.entry(item.kind).or_default();
            *count += 1;
            *bytes += item.bytes;
        }
        kinds
    }
}
