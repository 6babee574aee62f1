//! What the record remembers of volumes.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::ports::{Event, EventKind};
use crate::{Desired, Observed, Record, ResourceKey};

impl Record {
    /// Tells of each declared volume that was there and is not any more: a declared one homeostat does not remove, and
    /// the one that takes its place is empty.
    pub(crate) fn lost_volumes(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        now: Timestamp,
    ) -> Vec<Event> {
        let declared: BTreeSet<ResourceKey> = desired
            .apps
            .values()
            .flat_map(|app| app.volumes.keys().map(|name| ResourceKey::new(app.name.clone(), name.clone())))
            .collect();
        let here = declared.intersection(&observed.volumes).cloned().collect();
        let before = std::mem::replace(&mut self.volumes, here);
        let lost = before.difference(&self.volumes).filter(|key| declared.contains(key));
        let told = |key: &ResourceKey| Event {
            time: now,
            kind: EventKind::Lost,
            resource: Some(key.clone()),
            message: "the volume is gone with its content, and homeostat has not removed it".to_owned(),
        };
        lost.map(told).collect()
    }

    /// Remembers which volumes may go once they are no longer declared.
    pub(crate) fn note_volumes(&mut self, desired: &Desired, observed: &Observed) {
        for app in desired.apps.values() {
            for (name, volume) in &app.volumes {
                let key = ResourceKey::new(app.name.clone(), name.clone());
                if volume.retain {
                    self.volumes_not_retained.remove(&key);
                } else {
                    self.volumes_not_retained.insert(key);
                }
            }
        }
        let declared = |key: &ResourceKey| {
            desired.apps.get(&key.app).is_some_and(|app| app.volumes.contains_key(&key.name))
        };
        self.volumes_not_retained.retain(|key| observed.volumes.contains(key) || declared(key));
    }
}
