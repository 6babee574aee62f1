//! What differs between a Compose file and the spec that was made of it.

use std::fmt;

use serde::Serialize;

use crate::yaml::Place;

/// How much a [`Finding`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something of the Compose file is not in the spec.
    NotCarriedOver,
    /// It is in the spec in another form, or has no effect under Compose either.
    Note,
}

/// One thing that could not be carried over, or was carried over in another form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub kind: Kind,
    /// Path of the Compose file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What it is about, as `services.web.privileged`.
    pub path: String,
    /// What was not carried over, or how it was.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotCarriedOver => "not carried over",
            Self::Note => "note",
        })
    }
}

/// `FILE:LINE: PATH: MESSAGE`, without the hint.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.path, self.message)
    }
}

/// A [`Finding`] that knows its file by number.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Note>);

impl Findings {
    /// Something of the Compose file is not in the spec.
    pub(crate) fn lost(
        &mut self,
        place: Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Note {
        self.add(Kind::NotCarriedOver, place, path.into(), message.into())
    }

    /// Something is in the spec in another form.
    pub(crate) fn note(
        &mut self,
        place: Place,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Note {
        self.add(Kind::Note, place, path.into(), message.into())
    }

    fn add(&mut self, kind: Kind, place: Place, path: String, message: String) -> &mut Note {
        let index = self.0.len();
        self.0.push(Note { kind, place, path, message, hint: None });
        &mut self.0[index]
    }
}

impl Note {
    pub(crate) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}
