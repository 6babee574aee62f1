//! A spec file as a tree of values, each of which knows where it stands in the text.

mod expand;
mod node;
mod parse;
mod position;

use std::ops::Range;

pub(crate) use expand::{Variables, expand, is_variable_name};
pub(crate) use node::{Entry, Node, Value};
pub(crate) use parse::parse;
use position::{Lines, shortened};

use crate::problem::Problem;
use crate::{Diagnostic, Severity};

/// The most diagnostics given for one file: people fix a few, and a hostile file could have a million.
pub(crate) const MOST_DIAGNOSTICS: usize = 50;

/// The most characters of a message or hint; they may quote a value of any length.
const LONGEST_MESSAGE: usize = 400;

/// One spec file: its text, its values, and what has been found about it.
pub(crate) struct Document {
    /// Path within the source.
    file: String,
    lines: Lines,
    root: Node,
    diagnostics: Vec<Diagnostic>,
    unreported: usize,
    errors: usize,
}

impl Document {
    /// A document without values; [`parse`] fills it.
    fn new(file: &str, text: String) -> Self {
        Self {
            file: file.to_owned(),
            lines: Lines::new(text),
            root: Node { span: 0..0, value: Value::Unknown },
            diagnostics: Vec::new(),
            unreported: 0,
            errors: 0,
        }
    }

    /// The values of the file; [`Value::Unknown`] when it could not be parsed.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Whether an error was reported.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether the file has something at a path of keys and indices, valid or not.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        path.iter().try_fold(&self.root, |node, segment| node.child(segment)).is_some()
    }

    /// The keys of the table at a path, valid or not.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<String> {
        let table = path.iter().try_fold(&self.root, |node, segment| node.child(segment));
        table.map(|node| node.entries().iter().map(|entry| entry.key.clone()).collect()).unwrap_or_default()
    }

    /// Where the value at a path stands: the key for a table, the value for anything else, and
    /// the nearest parent for what is not there. `None` for the file as a whole.
    pub(crate) fn locate(&self, path: &[&str]) -> Option<Range<usize>> {
        let mut node = &self.root;
        let mut span = None;
        for segment in path {
            let Some(next) = node.child(segment) else { break };
            let key = node.entry(segment).map(|entry| entry.key_span.clone());
            node = next;
            span = match (&node.value, key) {
                (Value::Table(_), Some(key)) => Some(key),
                _ => Some(node.span.clone()),
            };
        }
        span
    }

    /// `FILE:LINE` of the value at a path.
    pub(crate) fn place(&self, path: &[&str]) -> String {
        let line = self.locate(path).map_or(1, |span| self.lines.line(span.start));
        format!("{}:{line}", self.file)
    }

    /// Whether further diagnostics are only counted, so that hints are no longer worth their cost.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MOST_DIAGNOSTICS
    }

    /// Reports an error about the text at `span`, or about the file as a whole.
    pub(crate) fn error(&mut self, span: Option<Range<usize>>, problem: Problem) {
        self.errors += 1;
        self.report(Severity::Error, span, problem);
    }

    /// Reports an error about the value at a path.
    pub(crate) fn error_at(&mut self, path: &[&str], problem: Problem) {
        self.error(self.locate(path), problem);
    }

    /// Reports a warning about the value at a path.
    pub(crate) fn warning_at(&mut self, path: &[&str], problem: Problem) {
        self.report(Severity::Warning, self.locate(path), problem);
    }

    fn report(&mut self, severity: Severity, span: Option<Range<usize>>, problem: Problem) {
        if self.is_full() {
            self.unreported += 1;
            return;
        }
        self.diagnostics.push(Diagnostic {
            file: self.file.clone(),
            position: span.map(|span| self.lines.position(&span)),
            severity,
            message: shortened(&problem.message, LONGEST_MESSAGE),
            hint: problem.hint.map(|hint| shortened(&hint, LONGEST_MESSAGE)),
        });
    }

    /// Everything found about the file, by position.
    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort();
        self.diagnostics.dedup();
        if self.unreported > 0 {
            self.diagnostics.push(Diagnostic {
                file: self.file,
                position: None,
                severity: Severity::Error,
                message: format!("{} more problems in this file are not shown", self.unreported),
                hint: None,
            });
        }
        self.diagnostics
    }
}
