//! What is wrong with a spec, where, and what to do about it.

use std::fmt;

use crate::render::visible;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the app is still valid.
    Warning,
    /// The app is not valid; what runs of it is left alone.
    Error,
}

/// A place in a spec file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length of the marked text in characters, at least 1; it never goes beyond the line.
    pub length: usize,
    /// The line itself, without its end (shortened if it is absurdly long).
    pub text: String,
}

/// One finding about one spec file. The order is by file, then by position, what is said of the file as
/// a whole first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Diagnostic {
    /// Path of the file within the source.
    pub file: String,
    /// Where in the file; absent when the file as a whole is meant.
    pub position: Option<Position>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// `FILE:LINE:COLUMN: MESSAGE: HINT` in one line, for a log or a status; [`render`](crate::render()) is for people.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.file))?;
        if let Some(position) = &self.position {
            write!(f, ":{}:{}", position.line, position.column)?;
        }
        write!(f, ": {}", visible(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, ": {}", visible(hint)),
            None => Ok(()),
        }
    }
}
