//! The planner: desired state, observed state and memory in; a plan out.
//!
//! - [`plan()`] is pure, total and deterministic: no clock, file, process or network.
//! - [`ports`] are the traits through which the loop reaches the world.

mod error;
mod key;
mod observed;
mod pairs;
mod plan;
mod record;

pub mod ports;

pub use error::{ErrorKind, PortError, chain};
pub use key::{ResourceKey, ResourceKeyError, ResourceKind};
pub use observed::{ContainerState, ExitStatus, Observed, ObservedContainer, ObservedImage};
pub use plan::{Action, Cause, FieldChange, Plan, ResourceId, Step, WaitReason, Waiting};
pub use record::{ContainerRecord, Failure, Health, HealthStatus, Record};
