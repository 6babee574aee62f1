//! The planner: desired state, observed state and memory in; a plan out.
//!
//! - [`plan()`] is pure, total and deterministic: no clock, file, process or network.
//! - [`Record`] is the memory, and its methods say how it changes: [`observe`](Record::observe) before every plan,
//!   [`step_succeeded`](Record::step_succeeded) or [`step_failed`](Record::step_failed) after every step,
//!   [`probe_result`](Record::probe_result) after every health probe.
//! - [`lint`] checks what must be true of every plan; tests run it on each.
//! - [`ByHand`] is what people ask for on the host itself; [`complete`](ByHand::complete) puts it beside what the source
//!   says.
//! - [`prune_request`] says what an engine may remove of what nobody needs.
//! - [`status`] tells people and scripts how everything is.
//! - `fake`, behind the feature of that name, is a host in memory for tests.
//! - [`ports`] are the traits through which the loop reaches the world.

mod adoption;
mod backoff;
mod by_hand;
mod changes;
mod desired;
mod error;
mod foreign;
mod key;
mod lint;
mod observed;
mod overrides;
mod pairs;
mod plan;
mod planner;
mod prune;
mod record;
mod reference;
mod stall;
mod state;
mod status;
mod target;
mod transitions;
mod unsupported;
mod volumes;
mod words;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod ports;

pub use by_hand::{ByHand, ByHandApp, ByHandContainer};
pub use desired::{Desired, LOCAL_REGISTRY, build_reference, image_reference};
pub use error::{ErrorKind, PortError, chain};
pub use foreign::{ForeignContainer, ForeignResource};
pub use key::{ResourceKey, ResourceKeyError, ResourceKind};
pub use lint::lint;
pub use observed::{Abilities, ContainerState, ExitStatus, Observed, ObservedContainer, ObservedImage};
pub use overrides::Override;
pub use plan::{
    Action, Cause, FieldChange, HIDDEN, Held, HoldReason, Plan, ResourceId, Step, WaitReason, Waiting,
};
pub use planner::plan;
pub use prune::{prune_by_hand, prune_policy, prune_request, room_request};
pub use record::{ContainerRecord, Failure, Health, HealthStatus, ImageHistory, ProbeOutcome, Record, Stall};
pub use reference::{registry, repository, spelled_out};
pub use status::{AppStatus, ContainerStatus, ShownState, StatusReport, restarts, shown_state, status};
