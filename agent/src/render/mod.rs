//! What commands print for people. Colour is left out where the output is no terminal, or `NO_COLOR` is set.

pub(crate) mod check;
pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod stats;
pub(crate) mod status;
mod table;
pub(crate) mod top;
pub(crate) mod volumes;
pub(crate) mod why;

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use homeostat_reconciler::{Action, ResourceId, Step};
use homeostat_spec::Diagnostic;
use jiff::Timestamp;
use serde::Serialize;

pub(crate) const GREEN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
pub(crate) const YELLOW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
pub(crate) const RED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Prints a value as JSON on a line of its own.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)
}

/// Prints what is wrong with specs, on stderr.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic]) -> io::Result<()> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    write!(io::stderr().lock(), "{}", homeostat_spec::render(diagnostics, color))
}

/// A size in bytes for people, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = None;
    let mut rest = bytes;
    let mut tenths = 0;
    for name in UNITS {
        if rest < 1024 {
            break;
        }
        tenths = rest % 1024 * 10 / 1024;
        rest /= 1024;
        unit = Some(name);
    }
    unit.map_or_else(|| format!("{bytes} B"), |unit| format!("{rest}.{tenths} {unit}"))
}

/// The resource of a step, files by their path instead of their digest where it is known.
pub(crate) fn resource(step: &Step) -> String {
    match (&step.action, &step.resource) {
        (Action::ExportFile { path }, _) => format!("file {path}"),
        (_, ResourceId::File(digest)) => format!("file {}", short(digest)),
        (_, resource) => resource.to_string(),
    }
}

/// How long ago, in one unit.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(time).as_secs().try_into().unwrap_or(0))
}

/// So many seconds, in one unit.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A digest or commit, shortened so that people can tell it apart.
pub(crate) fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// What containers call their processes and files is not to move the terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 * 1024 * 1024 * 1024), "5.0 GiB");
    }

    #[test]
    fn times_have_one_unit() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(ago("2026-01-01T23:59:01Z".parse().unwrap(), now), "59s");
        assert_eq!(ago("2026-01-01T22:00:00Z".parse().unwrap(), now), "2h");
        assert_eq!(ago("2026-01-03T00:00:00Z".parse().unwrap(), now), "0s");
    }
}
