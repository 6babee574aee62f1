//! Text in a Dockerfile that belongs to the instruction before it.

/// A heredoc: `<<NAME`, then its lines, then a line with `NAME` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it; the file's name in `COPY`.
    pub name: String,
    /// Its lines, each with its end.
    pub content: String,
    /// Whether variables are put in: not when any of `NAME` was quoted.
    pub expand: bool,
    /// Whether tabs at the beginning of lines were taken off: `<<-NAME`.
    pub strip_tabs: bool,
}

impl Heredoc {
    /// The beginning of one, still without content, if this word is that: `<<NAME`, `<<-NAME`, `<<"NAME"`, `3<<NAME`.
    pub(crate) fn begin(word: &str) -> Option<Self> {
        let rest = word.trim_start_matches(|char: char| char.is_ascii_digit()).strip_prefix("<<")?;
        let (rest, strip_tabs) = match rest.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if rest.contains('<') {
            return None;
        }
        let name: String = rest.chars().filter(|char| !matches!(char, '"' | '\'')).collect();
        if name.is_empty() {
            return None;
        }
        Some(Self { expand: name.len() == rest.len(), name, content: String::new(), strip_tabs })
    }

    /// Takes a line; says whether it was the last.
    pub(crate) fn take(&mut self, line: &str) -> bool {
        let line = if self.strip_tabs { line.trim_start_matches('\t') } else { line };
        if line == self.name {
            return true;
        }
        self.content.push_str(line);
        self.content.push('\n');
        false
    }
}
