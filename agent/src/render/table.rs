//! Columns as wide as their widest cell.

use std::io::{self, Write};

use anstyle::Style;

use super::BOLD;

/// A cell and how it is shown.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in colour.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// Prints rows under their headings.
pub(crate) fn print<const N: usize>(headings: [&str; N], rows: Vec<[Cell; N]>) -> io::Result<()> {
    write(&mut anstream::stdout().lock(), headings, rows)
}

/// What [`print`] prints where colours are left out, without the spaces before an empty last column.
#[cfg(test)]
pub(crate) fn text<const N: usize>(headings: [&str; N], rows: Vec<[Cell; N]>) -> String {
    let mut out = Vec::new();
    write(&mut out, headings, rows).unwrap();
    let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn write<const N: usize>(out: &mut impl Write, headings: [&str; N], rows: Vec<[Cell; N]>) -> io::Result<()> {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let headings = headings.map(|heading| Cell::styled(heading, BOLD));
    for row in std::iter::once(headings).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            // Nothing is padded behind the last column.
            let width = if column + 1 == N { 0 } else { widths[column] + 2 };
            let padding = width.saturating_sub(cell.text.chars().count());
            write!(out, "{}{}{:#}{:padding$}", cell.style, cell.text, cell.style, "")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
