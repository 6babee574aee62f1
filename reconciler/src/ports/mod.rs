//! The ports: what the loop needs from the world. Each has real and fake implementations.

mod clock;
mod engine;
mod prune;
mod source;
mod store;

pub use clock::Clock;
pub use engine::{
    BuildRequest, ContainerRequest, Engine, EngineEvent, EngineInfo, ExecOutcome, ExecRequest, LogLine,
    LogQuery, LogStream, Progress, ProgressStep, Usage,
};
pub use homeostat_spec::Secret;
pub use prune::{Keep, PruneRequest, Pruned, PrunedItem};
pub use source::{Snapshot, Source};
pub use store::{Event, EventKind, Store, Stored};
