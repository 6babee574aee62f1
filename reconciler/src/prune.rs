//! From the policy to what an engine is asked to prune.

use std::time::Duration;

use homeostat_spec::{HostPrune, PruneKind, PrunePolicy, PruneRule};
use jiff::Timestamp;

use crate::ports::{Keep, PruneRequest};
use crate::record::ImageHistory;
use crate::reference::known_as;
use crate::{Desired, Record, ResourceKey};

const DAY: Duration = Duration::from_hours(24);

/// The policy of a host: that of its source, with what the host says in its place.
pub fn prune_policy(desired: &Desired, host: &HostPrune) -> PrunePolicy {
    desired.prune.overlaid(&host.policy)
}

/// What a prune by hand does where there is no policy: images at once, since who asks wants room; build cache after a
/// day, since the next build is likely to need it; logs after a week.
pub fn prune_by_hand() -> PrunePolicy {
    let rules = [(PruneKind::Image, Duration::ZERO), (PruneKind::BuildCache, DAY), (PruneKind::Log, 7 * DAY)];
    let rules = rules.map(|(kind, age)| (kind, PruneRule::older_than(age)));
    PrunePolicy { rules: rules.into(), ..PrunePolicy::default() }
}

/// What to ask an engine for. Everything that is declared stays, and everything of an app whose spec is broken. From a
/// source without specs, which nobody has allowed, it does not follow that containers and volumes are not needed.
pub fn prune_request(
    policy: &PrunePolicy,
    others: bool,
    desired: &Desired,
    record: &Record,
    now: Timestamp,
) -> PruneRequest {
    let images = desired.containers().filter_map(|(key, _)| desired.image_of(&key));
    let keep = Keep {
        apps: desired.broken.keys().cloned().collect(),
        containers: desired.containers().map(|(key, _)| key).collect(),
        images: images.flat_map(|image| known_as(&image)).collect(),
        image_ids: record.images.values().flat_map(ImageHistory::ids).cloned().collect(),
    };
    let is_declared = |key: &&ResourceKey| {
        desired.apps.get(&key.app).is_some_and(|app| app.volumes.contains_key(&key.name))
    };
    let volumes = record.volumes_not_retained.iter().filter(|key| !is_declared(key)).cloned().collect();
    let mut rules = policy.rules.clone();
    if desired.is_held() || desired.by_hand_is_unknown {
        rules.retain(|kind, _| !matches!(kind, PruneKind::Container | PruneKind::Volume));
    }
    PruneRequest { rules, keep, volumes, others, room: None, now, dry_run: false }
}

/// What to ask an engine for when its disk may have become too full: room, and nothing else.
pub fn room_request(
    policy: &PrunePolicy,
    desired: &Desired,
    record: &Record,
    now: Timestamp,
) -> PruneRequest {
    let request = prune_request(&PrunePolicy::default(), false, desired, record, now);
    PruneRequest { room: Some(policy.disk), ..request }
}
