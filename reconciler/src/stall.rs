//! Tells a change that takes no effect from one that does.

use crate::target::target;
use crate::{Desired, FieldChange, Record, ResourceId, Stall};

/// So many changes towards the same target, each followed by the same difference, are enough.
pub(crate) const ENOUGH: u32 = 5;

/// The fields of a resource that were changed to no avail too often, if they are those that differ now.
pub(crate) fn stalled(
    record: &Record,
    desired: &Desired,
    resource: &ResourceId,
    changes: &[FieldChange],
) -> Option<Vec<String>> {
    let stall = record.stalls.get(resource)?;
    let same =
        stall.times >= ENOUGH && stall.fields == fields(changes) && stall.target == target(desired, resource);
    same.then(|| stall.fields.clone())
}

/// Notes that a resource was changed for these differences.
pub(crate) fn changed(
    record: &mut Record,
    desired: &Desired,
    resource: &ResourceId,
    changes: &[FieldChange],
) {
    let now = Stall { target: target(desired, resource), fields: fields(changes), times: 1 };
    let stall = record.stalls.entry(resource.clone()).or_insert_with(|| Stall { times: 0, ..now.clone() });
    if stall.target == now.target && stall.fields == now.fields {
        stall.times = stall.times.saturating_add(1);
    } else {
        *stall = now;
    }
}

fn fields(changes: &[FieldChange]) -> Vec<String> {
    changes.iter().map(|change| change.field.clone()).collect()
}
