//! The ports: what the loop needs from the world. Each has real and fake implementations.

mod check;
mod clock;
mod engine;
mod prune;
mod source;
mod store;

pub use check::{CheckFinding, CheckKind, Checked};
pub use clock::Clock;
pub use engine::{
    BuildRequest, ContainerRequest, Engine, EngineEvent, EngineInfo, ExecOutcome, ExecRequest, LogLine,
    LogQuery, LogStream, Progress, Usage,
};
pub use prune::{Keep, PruneRequest, Pruned, PrunedItem};
pub use source::{Snapshot, Source};
pub use store::{Event, EventKind, Store, Stored};
