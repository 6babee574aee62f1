//! Diagnostics for people, in the style of rustc.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Diagnostic, Severity};

/// Diagnostics as text: what is wrong, the file with line and column, the line itself with the place
/// marked, and what to do about it.
///
/// With `color`, ANSI escape sequences style the text. Control characters of the file are made visible, so
/// that a hostile spec cannot write to a terminal.
pub fn render(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(diagnostic)]));
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'static> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let path = visible(&diagnostic.file);
    let title = level.primary_title(visible(&diagnostic.message));
    let group = match &diagnostic.position {
        None => title.element(Origin::path(path)),
        Some(position) => {
            let line = visible(&position.text);
            let start = byte_of(&line, position.column - 1);
            let end = byte_of(&line, position.column - 1 + position.length);
            let mark = AnnotationKind::Primary.span(start..end);
            title.element(Snippet::source(line).line_start(position.line).path(path).annotation(mark))
        }
    };
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(visible(hint))),
        None => group,
    }
}

/// The byte at which a character begins; the end for one that was cut off.
fn byte_of(line: &str, character: usize) -> usize {
    line.char_indices().nth(character).map_or(line.len(), |(at, _)| at)
}

/// The text with every control character replaced by one that shows, so that columns stay true.
pub(crate) fn visible(text: &str) -> String {
    let invisible = |c: char| {
        (c.is_control() && c != '\t')
            // Marks that reorder text (Unicode TR 36, "Trojan source").
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if invisible(c) { '\u{fffd}' } else { c }).collect()
}
