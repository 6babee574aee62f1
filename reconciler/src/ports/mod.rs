//! The ports: what the loop needs from the world. Each has real and fake implementations.

mod clock;
mod engine;
mod source;
mod store;

pub use clock::Clock;
pub use engine::{
    BuildRequest, ContainerRequest, Engine, EngineEvent, EngineInfo, ExecOutcome, ExecRequest, ImagePrune,
    LogLine, LogQuery, LogStream, Progress, Pruned, Usage,
};
pub use source::{Snapshot, Source};
pub use store::{Event, EventKind, Store, Stored};
