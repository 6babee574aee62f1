//! How it stands with the engine: whether it can be seen, since when not, and when it is asked again.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use homeostat_reconciler::{ErrorKind, PortError, ResourceId, chain};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::retry::Retry;

/// The engine cannot be seen. What is known of its containers is as old as this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineTrouble {
    /// Why, with the causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When it is asked again, if nothing happens before.
    pub next_look: Timestamp,
}

impl fmt::Display for EngineTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, hint, since, next_look } = self;
        write!(f, "{message} (since {since:.0}, asked again at {next_look:.0}")?;
        match hint {
            Some(hint) => write!(f, "; hint: {hint})"),
            None => f.write_str(")"),
        }
    }
}

/// Keeps account of looks at the engine.
pub(crate) struct EngineWatch {
    trouble: Option<EngineTrouble>,
    was_seen: bool,
    /// When it could last be seen again.
    back_at: Option<Instant>,
    retry: Retry,
    /// What failed, in a way that may pass, since it was last seen.
    failed: BTreeSet<ResourceId>,
}

/// The engine answers.
pub(crate) struct Answered {
    /// How it could not be seen before, if so.
    pub(crate) trouble: Option<EngineTrouble>,
    /// What failed since it was seen the last time, in a way that may pass.
    pub(crate) failed: BTreeSet<ResourceId>,
}

impl EngineWatch {
    /// Of an engine that was not looked at yet.
    pub(crate) fn new() -> Self {
        Self {
            trouble: None,
            was_seen: false,
            back_at: None,
            retry: Retry::new(Duration::from_secs(1), Duration::from_mins(1)),
            failed: BTreeSet::new(),
        }
    }

    /// Why it cannot be seen, if it cannot.
    pub(crate) fn trouble(&self) -> Option<&EngineTrouble> {
        self.trouble.as_ref()
    }

    /// It was seen since the start.
    pub(crate) fn was_seen(&self) -> bool {
        self.was_seen
    }

    /// Whether it could be seen all the time since then.
    pub(crate) fn is_sound_since(&self, then: Instant) -> bool {
        self.trouble.is_none() && self.back_at.is_none_or(|back_at| back_at <= then)
    }

    /// When it is asked again, if it cannot be seen.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry.due()
    }

    /// A look worked.
    pub(crate) fn answered(&mut self) -> Answered {
        self.was_seen = true;
        self.retry.succeeded();
        let trouble = self.trouble.take();
        if trouble.is_some() {
            self.back_at = Some(Instant::now());
        }
        Answered { trouble, failed: std::mem::take(&mut self.failed) }
    }

    /// A look failed. Returns whether that is news.
    pub(crate) fn failed(&mut self, error: &PortError, now: Timestamp) -> bool {
        let next_look = now.saturating_add(self.retry.failed()).unwrap_or(Timestamp::MAX);
        let message = chain(error);
        let is_news = self.trouble.as_ref().is_none_or(|trouble| trouble.message != message);
        // A clock that was set back does not make it begin in the future.
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since.min(now));
        self.trouble = Some(EngineTrouble { message, hint: error.hint.clone(), since, next_look });
        is_news
    }

    /// A step failed.
    pub(crate) fn step_failed(&mut self, resource: &ResourceId, error: &PortError) {
        if error.kind == ErrorKind::Transient {
            self.failed.insert(resource.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> PortError {
        PortError::new(ErrorKind::Transient, message).with_hint("start it")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn trouble_has_its_first_moment_and_the_next_look() {
        let mut watch = EngineWatch::new();
        assert!(watch.failed(&error("nobody listens"), at(100)));
        assert!(!watch.failed(&error("nobody listens"), at(101)), "the same again is no news");
        assert!(watch.failed(&error("no answer"), at(103)));
        assert_eq!(
            watch.trouble().unwrap().to_string(),
            "no answer (since 1970-01-01T00:01:40Z, asked again at 1970-01-01T00:01:47Z; hint: start it)"
        );
        assert!(!watch.was_seen());
        assert_eq!(watch.answered().trouble.unwrap().since, at(100));
        assert!(watch.was_seen() && watch.trouble().is_none() && watch.due().is_none());
    }

    #[test]
    fn what_failed_since_the_last_good_look_is_told_once_and_only_if_it_may_pass() {
        let mut watch = EngineWatch::new();
        let (one, other) = (ResourceId::Image("one".to_owned()), ResourceId::Image("other".to_owned()));
        watch.step_failed(&one, &error("nobody listens"));
        watch.step_failed(&other, &PortError::new(ErrorKind::User, "there is no such image"));
        assert_eq!(watch.answered().failed, [one].into());
        assert_eq!(watch.answered().failed, BTreeSet::new());
    }
}
