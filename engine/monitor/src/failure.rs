//! From errors to what is told to the engine.

use std::error::Error;

use crate::{Failure, FailureKind};

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A request that cannot be carried out as it is.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::InvalidRequest, message)
    }

    /// The same with advice.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Turns an error into a [`Failure`] of a kind.
pub(crate) trait OrFail<T> {
    /// The error's whole chain becomes the message, after what was attempted.
    fn or_fail(self, kind: FailureKind, attempted: &str) -> Result<T, Failure>;
}

impl<T, E: Error + 'static> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: FailureKind, attempted: &str) -> Result<T, Failure> {
        self.map_err(|error| {
            let kind = if is_exhausted(&error) { FailureKind::Exhausted } else { kind };
            Failure::new(kind, format!("cannot {attempted}: {}", chain(&error)))
        })
    }
}

/// The messages of an error and all its sources.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let message = source.to_string();
        // Some libraries repeat the source in their own message.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = source.source();
    }
    text
}

/// Whether the host ran out of something.
fn is_exhausted(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let code = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error)
            .or_else(|| error.downcast_ref::<nix::errno::Errno>().map(|errno| *errno as i32));
        let exhausted = [libc::ENOSPC, libc::EDQUOT, libc::ENOMEM, libc::EAGAIN, libc::EMFILE, libc::ENFILE];
        if code.is_some_and(|code| exhausted.contains(&code)) {
            return true;
        }
        next = error.source();
    }
    false
}
