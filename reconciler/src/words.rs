//! Plans in words, for people.

use std::fmt;

use crate::{Cause, ContainerState, FieldChange, HealthStatus, HoldReason, Step, WaitReason};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.action.verb(), self.resource, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not there"),
            Self::Newer => f.write_str("there may be a newer one"),
            Self::NotDeclared => f.write_str("no longer declared"),
            Self::Unused => f.write_str("no longer used"),
            Self::Changed(changes) => {
                let fields: Vec<&str> = changes.iter().map(|change| change.field.as_str()).collect();
                write!(f, "{} changed", fields.join(", "))
            }
            Self::State { actual, desired } => write!(f, "is {actual}, wanted {desired}"),
            Self::Restart(exit) => exit.fmt(f),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::Awaited => f.write_str("others wait until it has completed"),
            Self::Adopt { name } => write!(f, "takes over {name}"),
            Self::ByHand => f.write_str("asked for by hand"),
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        write!(f, "{}: {} -> {}", self.field, value(&self.old), value(&self.new))
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dependency { on, condition } => write!(f, "waits for {on} to be {condition}"),
            Self::BackOff { attempts, message } => write!(f, "backs off after attempt {attempts}: {message}"),
            Self::Blocked { by } => write!(f, "waits for {by}"),
            Self::Health => f.write_str("waits for the first result of its health check"),
            Self::Completion => f.write_str("runs until it ends by itself"),
            Self::Stalled { fields } => {
                write!(f, "stalled: {} differs again after every change", fields.join(", "))
            }
            Self::NotAdoptable { name, fields } => {
                let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
                write!(f, "{name} is there and cannot be taken over as it is: {}", fields.join(", "))
            }
            Self::KeptByHand { state } => write!(f, "is kept {state} by hand"),
            Self::NeverPulled => f.write_str("is not here, and is never pulled (pull = \"never\")"),
            Self::NotAsked { message } => {
                write!(
                    f,
                    "is used as it is here, since its registry cannot be asked for a newer one: {message}"
                )
            }
            Self::Unsupported { reason } => write!(f, "not possible with this engine: {reason}"),
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySource => f.write_str("kept: the source has no specs at all"),
        }
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        })
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}
