//! States that somebody keeps a container in, whatever its spec says, until that is taken back.

use std::time::Duration;

use homeostat_spec::{DesiredState, StopPolicy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{Verb, Verdict};
use crate::{Cause, ContainerState, ObservedContainer};

/// What somebody asked for a container, which wins over its declared state until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Override {
    /// It does not run, and is not started.
    Stopped {
        /// Time before it is killed; that of its spec when absent.
        grace: Option<Duration>,
    },
    /// It is frozen.
    Paused,
    /// It is started by whoever attaches to it first, and left alone until then.
    Attended,
    /// It is started once more: stopped before, if this run of it still goes on. With the next run this is done.
    Again {
        /// The run, by its start; `None` when it never ran.
        run: Option<Timestamp>,
        /// As for [`Stopped`](Self::Stopped).
        grace: Option<Duration>,
    },
}

impl Override {
    /// The state that is wanted where nothing is there to have one.
    pub(crate) fn state(&self, declared: DesiredState) -> DesiredState {
        match self {
            Self::Stopped { .. } | Self::Attended => DesiredState::Created,
            Self::Paused => DesiredState::Paused,
            Self::Again { .. } => declared,
        }
    }

    /// What is to be done with a container that is there; `None` where that follows from its declared state, or from
    /// that which [`state`](Self::state) gives.
    pub(crate) fn verdict(&self, actual: &ObservedContainer) -> Option<Verdict> {
        let alive = matches!(actual.state, ContainerState::Running | ContainerState::Paused);
        match self {
            Self::Stopped { .. } if alive => Some(Verdict::Do(&[Verb::Stop], Cause::ByHand)),
            Self::Stopped { .. } => Some(Verdict::Keep),
            Self::Attended if actual.started_at.is_none() => Some(Verdict::Keep),
            Self::Again { run, .. } if *run == actual.started_at => {
                let verbs: &[Verb] = if alive { &[Verb::Stop, Verb::Start] } else { &[Verb::Start] };
                Some(Verdict::Do(verbs, Cause::ByHand))
            }
            Self::Paused | Self::Attended | Self::Again { .. } => None,
        }
    }

    /// Whether it asks for nothing more.
    pub(crate) fn is_done(&self, actual: Option<&ObservedContainer>) -> bool {
        let Some(actual) = actual else { return false };
        match self {
            Self::Again { run, .. } => *run != actual.started_at,
            Self::Attended => actual.started_at.is_some(),
            Self::Stopped { .. } | Self::Paused => false,
        }
    }

    /// How a container is stopped for it.
    pub(crate) fn stop(&self, declared: StopPolicy) -> StopPolicy {
        match self {
            Self::Stopped { grace: Some(grace) } | Self::Again { grace: Some(grace), .. } => {
                StopPolicy { grace: *grace, ..declared }
            }
            _ => declared,
        }
    }
}
