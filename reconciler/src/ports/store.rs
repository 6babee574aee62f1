//! The store port: what the agent remembers.

use std::collections::BTreeMap;

use homeostat_spec::{App, Name, PrunePolicy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Desired, PortError, Record, ResourceKey};

/// Remembers across restarts and power cuts.
///
/// # Guarantees
/// - What a method that returned `Ok` has written is there after a power cut.
/// - After a cut in the middle of a write, [`load`](Store::load) gives the state before or after it, per key.
/// - A store that cannot be read is moved aside and started anew; that is reported, never fatal.
///
/// # Caveats
/// - Everything here can be lost without losing what is the user's: it is rebuilt from engine and source.
pub trait Store: Send + Sync {
    /// Everything but the events.
    ///
    /// # Errors
    /// If it cannot be read; what is damaged is no error but moved aside.
    fn load(&self) -> Result<Stored, PortError>;

    /// Replaces the last good revision, its apps and what it says about pruning.
    ///
    /// # Errors
    /// If it cannot be written: the disk is full or fails.
    fn save_applied(&self, desired: &Desired) -> Result<(), PortError>;

    /// Replaces the record.
    ///
    /// # Errors
    /// As [`save_applied`](Store::save_applied).
    fn save_record(&self, record: &Record) -> Result<(), PortError>;

    /// Appends events; only the newest few thousand are kept.
    ///
    /// # Errors
    /// As [`save_applied`](Store::save_applied).
    fn append_events(&self, events: &[Event]) -> Result<(), PortError>;

    /// The newest events, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    fn events(&self, limit: usize) -> Result<Vec<Event>, PortError>;
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The last revision that was compiled.
    pub revision: Option<String>,
    /// The last good state of every app, also of those whose file is broken now.
    pub apps: BTreeMap<Name, App>,
    /// What the last revision that said so says about pruning.
    #[serde(default)]
    pub prune: PrunePolicy,
    /// Back-off, restarts, health.
    pub record: Record,
}

/// Something that happened, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// What sort of thing.
    pub kind: EventKind,
    /// The container, image or other resource that it happened to.
    pub resource: Option<ResourceKey>,
    /// One line for people.
    pub message: String,
}

/// Sorts of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A new revision was seen.
    Revision,
    /// A step of a plan was done.
    Applied,
    /// A step of a plan failed.
    Failed,
    /// A container's run ended by itself.
    Exited,
    /// A container whose run ended by itself is started again when its back-off is over.
    Restarting,
    /// A container's health changed.
    Health,
    /// The source or a spec file is in error.
    Source,
    /// What nobody needed any more was removed.
    Pruned,
    /// A volume is gone that homeostat has not removed, and its content with it.
    Lost,
    /// The agent started, stopped or lost its store.
    Agent,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Revision,
        Self::Applied,
        Self::Failed,
        Self::Exited,
        Self::Restarting,
        Self::Health,
        Self::Source,
        Self::Pruned,
        Self::Lost,
        Self::Agent,
    ];
}
