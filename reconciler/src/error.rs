//! Errors of the ports.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Who can do something about an error, and whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// What the user asked for cannot be done: change the spec or the command.
    User,
    /// The host's configuration is at fault.
    Config,
    /// May go away by itself: network, load, a full disk. Try again.
    Transient,
    /// Trying again with the same input gives the same error.
    Terminal,
    /// A bug of homeostat.
    Internal,
}

/// An operation of a port failed.
///
/// Its message does not repeat that of its source; print the chain once, with [`chain`].
#[derive(Debug)]
pub struct PortError {
    /// Who can do something about it.
    pub kind: ErrorKind,
    /// What could not be done.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Why it could not be done.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An error of this kind with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The messages of an error and all its sources, joined by `: `.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
