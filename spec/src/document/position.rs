//! From byte offsets to lines and columns.

use std::ops::Range;

use crate::Position;

/// Lines longer than this many characters are shortened in diagnostics.
const LONGEST_LINE: usize = 240;

/// A text and where its lines begin.
pub(crate) struct Lines {
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The text itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|line| *line <= offset)
    }

    /// The position of a range of bytes. What goes beyond the first line is cut off; an offset
    /// within a character counts as its beginning.
    pub(crate) fn position(&self, span: &Range<usize>) -> Position {
        let start = self.text.floor_char_boundary(span.start);
        let index = self.line(start) - 1;
        let begin = self.starts[index];
        let line = self.text[begin..].split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let start = start.min(begin + line.len());
        let end = self.text.floor_char_boundary(span.end).clamp(start, begin + line.len());
        Position {
            line: index + 1,
            column: self.text[begin..start].chars().count() + 1,
            length: self.text[start..end].chars().count().max(1),
            text: shortened(line, LONGEST_LINE),
        }
    }
}

/// A text of at most `longest` characters; `…` stands for the rest.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_never_leave_the_line() {
        let lines = Lines::new("a = 1\r\nü = \"é\"\nlast".to_owned());
        let position = lines.position(&(12..16));
        assert_eq!((position.line, position.column, position.length), (2, 5, 3));
        assert_eq!(position.text, "ü = \"é\"");
        let end = lines.position(&(5..7));
        assert_eq!((end.line, end.column, end.length), (1, 6, 1));
        let beyond = lines.position(&(1000..2000));
        assert_eq!((beyond.line, beyond.column), (3, 5));
    }

    #[test]
    fn an_absurdly_long_line_is_shortened() {
        let lines = Lines::new("x".repeat(100_000));
        assert_eq!(lines.position(&(99_000..99_001)).text.chars().count(), LONGEST_LINE + 1);
    }
}
