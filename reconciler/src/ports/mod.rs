//! The ports: what the loop needs from the world. Each has real and fake implementations.

mod attach;
mod check;
mod clock;
mod disk;
mod engine;
mod files;
mod image;
mod masks;
mod prune;
mod source;
mod store;
mod usage;
mod volumes;

pub use attach::{
    AttachEnd, AttachInput, AttachOutput, AttachRequest, Attachment, ExecAttachRequest, TerminalSize,
};
pub use check::{CheckFinding, CheckKind, Checked};
pub use clock::Clock;
pub use disk::{DiskSpace, DiskUsage, Taken};
pub use engine::{
    BuildRequest, ContainerRequest, Engine, EngineEvent, EngineInfo, EngineStorage, ExecOutcome, ExecRequest,
    LogLine, LogQuery, LogStream, Progress, ProgressStep,
};
pub use files::{FileChange, FileChangeKind};
pub use homeostat_spec::Secret;
pub use image::{
    ArchiveFormat, ArchiveToLoad, HistoryStep, ImageDetails, ImageRemoval, LoadedImage, SaveRequest,
    SavedArchive, StoredImage,
};
pub use masks::Masks;
pub use prune::{Keep, PruneRequest, Pruned, PrunedItem};
pub use source::{Snapshot, Source};
pub use store::{Event, EventKind, Store, Stored};
pub use usage::{ContainerProcess, Traffic, Usage};
pub use volumes::StoredVolume;
