//! `stats` for people.

use std::io::{self, IsTerminal as _, Write as _};

use homeostat_reconciler::ports::Traffic;

use super::size;
use super::table::{self, Cell};
use crate::stats::Stats;

/// The cursor goes home, and what is on the screen goes away.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

const HEADINGS: [&str; 7] =
    ["CONTAINER", "CPU %", "MEMORY / LIMIT", "MEMORY %", "NET I/O", "BLOCK I/O", "PIDS"];

/// Prints a table; with `refresh` and on a terminal in place of the one before.
pub(crate) fn print(lines: &[Stats], refresh: bool) -> io::Result<()> {
    if refresh && io::stdout().is_terminal() {
        write!(io::stdout(), "{CLEAR}")?;
    }
    table::print(HEADINGS, lines.iter().map(row).collect())
}

fn row(line: &Stats) -> [Cell; 7] {
    let usage = &line.usage;
    let limit = usage.memory_limit.map_or_else(none, size);
    [
        line.container.to_string().into(),
        line.cpu_percent.map_or_else(none, |percent| format!("{percent:.2}")).into(),
        format!("{} / {limit}", size(usage.memory_working_set)).into(),
        usage.memory_limit.map_or_else(none, |limit| share(usage.memory_working_set, limit)).into(),
        traffic(usage.network).into(),
        traffic(usage.block).into(),
        usage.pids.to_string().into(),
    ]
}

fn none() -> String {
    "-".to_owned()
}

/// In percent, with two decimals.
fn share(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn traffic(traffic: Option<Traffic>) -> String {
    traffic.map_or_else(none, |traffic| format!("{} / {}", size(traffic.input), size(traffic.output)))
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::ports::Usage;

    use super::*;

    #[test]
    fn what_is_not_known_is_a_dash() {
        let all = Usage {
            memory_working_set: 3 << 20,
            memory_limit: Some(64 << 20),
            pids: 7,
            network: Some(Traffic { input: 2048, output: 100 }),
            block: Some(Traffic { input: 0, output: 4096 }),
            ..Usage::default()
        };
        let lines = [
            Stats { container: "shop/db".parse().unwrap(), cpu_percent: None, usage: Usage::default() },
            Stats { container: "shop/web".parse().unwrap(), cpu_percent: Some(150.5), usage: all },
        ];
        let text = table::text(HEADINGS, lines.iter().map(row).collect());
        insta::assert_snapshot!(text, @r"
        CONTAINER  CPU %   MEMORY / LIMIT      MEMORY %  NET I/O          BLOCK I/O      PIDS
        shop/db    -       0 B / -             -         -                -              0
        shop/web   150.50  3.0 MiB / 64.0 MiB  4.68      2.0 KiB / 100 B  0 B / 4.0 KiB  7
        ");
    }
}
