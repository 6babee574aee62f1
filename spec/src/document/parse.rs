//! From the bytes of a file to a [`Document`].

use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::{Document, Node};
use crate::SpecFile;
use crate::problem::Problem;

/// Files larger than this are refused unread: a spec is written by people.
const LARGEST_FILE: usize = 1024 * 1024;

/// The most dots in one dotted key. The parser bounds the depth of arrays and inline tables,
/// but not that of dotted keys, and a tree a million tables deep cannot even be dropped
/// without running out of stack.
const DEEPEST_KEY: usize = 8;

/// Parses a file, reporting whatever keeps it from being TOML. Several syntax errors are reported at once; a
/// file with any has no values.
pub(crate) fn parse(file: &SpecFile) -> Document {
    if file.content.len() > LARGEST_FILE {
        return refused(
            file,
            Problem::new(format!("the file has {} bytes", file.content.len()))
                .hint("a spec has at most 1 MiB (1048576 bytes)"),
        );
    }
    let text = match str::from_utf8(&file.content) {
        Ok(text) => text,
        Err(error) => return not_utf8(file, error.valid_up_to()),
    };
    let mut document = Document::new(&file.path, text.to_owned());
    if let Some(span) = too_deep_key(text) {
        document.error(Some(span), Problem::new(format!("a dotted key has at most {DEEPEST_KEY} dots")));
        return document;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        document.error(error.span(), Problem::new(one_line(error.message())));
    }
    if errors.is_empty() {
        document.root = Node::from_table(table.get_ref(), table.span());
    }
    document
}

fn refused(file: &SpecFile, problem: Problem) -> Document {
    let mut document = Document::new(&file.path, String::new());
    document.error(None, problem);
    document
}

fn not_utf8(file: &SpecFile, offset: usize) -> Document {
    // The bytes before the offset are valid, so it is the same offset in the lossy text.
    let mut document = Document::new(&file.path, String::from_utf8_lossy(&file.content).into_owned());
    let byte = file.content[offset];
    document.error(
        Some(offset..offset + 1),
        Problem::new(format!("the file is not UTF-8: byte 0x{byte:02x} at offset {offset}"))
            .hint("TOML is always UTF-8; save the file in that encoding"),
    );
    document
}

/// The first dotted key that is too deep.
fn too_deep_key(text: &str) -> Option<std::ops::Range<usize>> {
    let mut dots = 0;
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Atom | TokenKind::Whitespace | TokenKind::BasicString | TokenKind::LiteralString => {}
            _ => dots = 0,
        }
        if dots > DEEPEST_KEY {
            return Some(token.span().start()..token.span().end());
        }
    }
    None
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
