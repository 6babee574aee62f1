//! What a check found, for people.

use std::io::{self, Write};

use homeostat_reconciler::ports::Checked;

use super::table::{self, Cell};

/// Prints what is damaged, and what was looked at.
pub(crate) fn print(checked: &Checked, repair: bool) -> io::Result<()> {
    if !checked.findings.is_empty() {
        let rows = checked.findings.iter().map(|finding| -> [Cell; 3] {
            let state = if finding.repaired { "repaired" } else { "damaged" };
            [finding.kind.to_string().into(), state.into(), finding.problem.clone().into()]
        });
        table::print(["KIND", "STATE", "PROBLEM"], rows.collect())?;
    }
    let counts: Vec<String> =
        checked.counts.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    let mut out = anstream::stdout();
    writeln!(out, "checked {}", counts.join(", "))?;
    let damaged = checked.findings.iter().filter(|finding| !finding.repaired).count();
    match damaged {
        0 => Ok(()),
        _ if repair => writeln!(out, "{damaged} cannot be repaired"),
        _ => writeln!(out, "{damaged} damaged: homeostat check --repair mends what it can"),
    }
}
