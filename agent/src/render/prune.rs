//! What a prune removed, for people.

use std::io::{self, Write};

use homeostat_reconciler::ports::Pruned;

use super::size;
use super::table::{self, Cell};

/// Prints what was removed, or would be, and how much room that makes.
pub(crate) fn print(pruned: &Pruned, dry_run: bool) -> io::Result<()> {
    if !pruned.items.is_empty() {
        let rows = pruned.items.iter().map(|item| -> [Cell; 4] {
            [
                item.kind.to_string().into(),
                item.name.clone().into(),
                size(item.bytes).into(),
                super::span(item.age_seconds).into(),
            ]
        });
        table::print(["KIND", "NAME", "SIZE", "AGE"], rows.collect())?;
    }
    let verb = if dry_run { "would be freed" } else { "freed" };
    writeln!(anstream::stdout(), "{} {verb}", size(pruned.bytes()))
}

/// What was removed, in a line; `None` when that is nothing.
pub(crate) fn summary(pruned: &Pruned) -> Option<String> {
    let kinds = pruned.by_kind();
    let counts: Vec<String> = kinds.iter().map(|(kind, (count, _))| format!("{count} × {kind}")).collect();
    (!counts.is_empty()).then(|| format!("{}: {} freed", counts.join(", "), size(pruned.bytes())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use homeostat_reconciler::ports::PrunedItem;
    use homeostat_spec::PruneKind;

    use super::*;

    #[test]
    fn a_summary_counts_by_kind_and_nothing_has_none() {
        let item = |kind, bytes| PrunedItem::new(kind, "name", bytes, Duration::ZERO);
        let pruned = Pruned::of(vec![
            item(PruneKind::Image, 1536),
            item(PruneKind::BuildCache, 512),
            item(PruneKind::Image, 0),
        ]);
        assert_eq!(summary(&pruned).unwrap(), "2 × image, 1 × build cache: 2.0 KiB freed");
        assert_eq!(summary(&Pruned::default()), None);
    }
}
