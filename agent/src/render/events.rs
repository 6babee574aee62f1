//! Events for people.

use std::io;

use homeostat_reconciler::ports::{Event, EventKind};

use super::table::{self, Cell};
use super::{GREEN, RED, YELLOW};

/// Prints events, oldest first.
pub(crate) fn print(events: &[Event]) -> io::Result<()> {
    let rows = events.iter().map(row).collect();
    table::print(["TIME", "KIND", "RESOURCE", "WHAT"], rows)
}

fn row(event: &Event) -> [Cell; 4] {
    let (kind, style) = match event.kind {
        EventKind::Revision => ("revision", GREEN),
        EventKind::Applied => ("applied", GREEN),
        EventKind::Failed => ("failed", RED),
        EventKind::Exited => ("exited", YELLOW),
        EventKind::Restarting => ("restarting", YELLOW),
        EventKind::Health => ("health", YELLOW),
        EventKind::Source => ("source", RED),
        EventKind::Pruned => ("pruned", GREEN),
        EventKind::Lost => ("lost", RED),
        EventKind::Agent => ("agent", YELLOW),
    };
    [
        format!("{:.0}", event.time).into(),
        Cell::styled(kind, style),
        event.resource.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        event.message.clone().into(),
    ]
}
