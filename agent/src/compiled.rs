//! From a snapshot to the desired state, with the last good state of what is broken now.

use std::collections::btree_map::Entry;

use homeostat_reconciler::Desired;
use homeostat_reconciler::ports::Snapshot;
use homeostat_spec::{Diagnostic, Node, compile};

/// What came of a snapshot.
pub struct Outcome {
    /// The new desired state; `None` when the old one stays.
    pub desired: Option<Desired>,
    /// Everything found in the specs.
    pub diagnostics: Vec<Diagnostic>,
    /// Why the snapshot is not followed.
    pub refused: Option<String>,
}

/// Compiles a snapshot. An app whose file is broken keeps the state that `last` has of it, so that it
/// goes on being healed.
pub fn desired(snapshot: &Snapshot, last: &Desired, node: &Node, allow_empty: bool) -> Outcome {
    let compiled = compile(&snapshot.specs, snapshot.tree.as_ref(), node);
    let diagnostics = compiled.diagnostics;
    let is_empty = compiled.apps.is_empty() && compiled.broken.is_empty();
    if is_empty && !allow_empty && !last.apps.is_empty() {
        let refused = "the source has no specs any more; what runs is kept (--allow-empty removes it)";
        return Outcome { desired: None, diagnostics, refused: Some(refused.to_owned()) };
    }
    let mut desired = Desired {
        revision: snapshot.revision.clone(),
        apps: compiled.apps,
        broken: compiled.broken,
        prune: compiled.prune.unwrap_or_else(|| last.prune.clone()),
        allow_empty,
        ..Desired::default()
    };
    keep_last_good(&mut desired, last);
    Outcome { desired: Some(desired), diagnostics, refused: None }
}

/// Takes the apps whose files are broken in the state that `last` has of them.
pub fn keep_last_good(desired: &mut Desired, last: &Desired) {
    for name in desired.broken.keys() {
        if let (Entry::Vacant(place), Some(app)) = (desired.apps.entry(name.clone()), last.apps.get(name)) {
            place.insert(app.clone());
        }
    }
}
