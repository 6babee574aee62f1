//! `logs` for people.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use homeostat_reconciler::ports::{LogLine, LogStream};
use homeostat_spec::Name;

use super::RED;

/// Colours of containers, in turn; red is that of what is written to stderr.
const COLORS: [AnsiColor; 5] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue];

/// Prints lines; those of an app with several containers behind the container's name.
pub(crate) struct Printer {
    timestamps: bool,
    containers: Vec<Name>,
}

impl Printer {
    /// Of an app's containers as far as they are known; those that come later are added.
    pub(crate) fn new(timestamps: bool, containers: impl Into<Vec<Name>>) -> Self {
        Self { timestamps, containers: containers.into() }
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, container: Option<&Name>, line: &LogLine) -> io::Result<()> {
        self.write(&mut anstream::stdout().lock(), container, line)
    }

    fn write(&mut self, out: &mut impl Write, container: Option<&Name>, line: &LogLine) -> io::Result<()> {
        if let Some(container) = container {
            self.write_name(out, container)?;
        }
        if self.timestamps {
            write!(out, "{} ", line.time)?;
        }
        match line.stream {
            LogStream::Stdout => writeln!(out, "{}", line.text),
            LogStream::Stderr => writeln!(out, "{RED}{}{RED:#}", line.text),
        }
    }

    fn write_name(&mut self, out: &mut impl Write, container: &Name) -> io::Result<()> {
        let known = self.containers.iter().position(|known| known == container);
        let place = known.unwrap_or(self.containers.len());
        if known.is_none() {
            self.containers.push(container.clone());
        }
        if self.containers.len() == 1 {
            return Ok(());
        }
        let width = self.containers.iter().map(|name| name.as_str().len()).max().unwrap_or_default();
        let style = Style::new().fg_color(Some(COLORS[place % COLORS.len()].into()));
        write!(out, "{style}{:width$} |{style:#} ", container.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(printer: &mut Printer, container: &str, stream: LogStream, text: &str) -> String {
        let time = "2026-01-02T03:04:05.5Z".parse().unwrap();
        let line = LogLine { time, stream, text: text.to_owned() };
        let mut out = Vec::new();
        printer.write(&mut out, Some(&container.parse().unwrap()), &line).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_container_has_its_name_and_colour_before_its_lines() {
        let mut printer = Printer::new(false, ["db".parse().unwrap(), "web".parse().unwrap()]);
        let lines = [
            write(&mut printer, "web", LogStream::Stdout, "ready"),
            write(&mut printer, "db", LogStream::Stderr, "slow"),
            write(&mut printer, "later", LogStream::Stdout, "hello"),
            write(&mut printer, "db", LogStream::Stdout, "done"),
        ];
        insta::assert_snapshot!(lines.concat().replace('\u{1b}', "ESC"), @r"
        ESC[33mweb |ESC[0m ready
        ESC[36mdb  |ESC[0m ESC[31mslowESC[0m
        ESC[32mlater |ESC[0m hello
        ESC[36mdb    |ESC[0m done
        ");
    }

    #[test]
    fn the_only_container_has_no_name_before_its_lines() {
        let mut printer = Printer::new(true, ["web".parse().unwrap()]);
        assert_eq!(write(&mut printer, "web", LogStream::Stdout, "one"), "2026-01-02T03:04:05.5Z one\n");
        let second =
            anstream::adapter::strip_str(&write(&mut printer, "db", LogStream::Stdout, "two")).to_string();
        assert_eq!(second, "db  | 2026-01-02T03:04:05.5Z two\n");
    }
}
