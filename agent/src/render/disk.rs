//! `system df` for people.

use std::io::{self, Write as _};

use homeostat_reconciler::ports::{DiskUsage, Taken};

use super::size;
use super::table::{self, Cell};

/// Prints a row for each kind, and how full the disk is where that is known.
pub(crate) fn print(usage: &DiskUsage) -> io::Result<()> {
    let kinds = [
        ("images", usage.images),
        ("containers", usage.containers),
        ("volumes", usage.volumes),
        ("build cache", usage.build_cache),
    ];
    table::print(["KIND", "COUNT", "ACTIVE", "SIZE", "RECLAIMABLE"], kinds.map(row).into())?;
    if let Some(disk) = &usage.disk {
        let (used, available) = (size(disk.used), size(disk.available));
        writeln!(anstream::stdout(), "disk: {} % full, {used} used, {available} available", disk.fill())?;
    }
    Ok(())
}

fn row((kind, taken): (&str, Taken)) -> [Cell; 5] {
    [
        kind.to_owned().into(),
        taken.count.to_string().into(),
        taken.active.to_string().into(),
        size(taken.bytes).into(),
        size(taken.reclaimable).into(),
    ]
}
