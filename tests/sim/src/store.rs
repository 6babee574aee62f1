//! A store in memory that outlives the loop.

use std::sync::{Mutex, PoisonError};

use homeostat_reconciler::ports::{Event, Store, Stored};
use homeostat_reconciler::{Desired, ErrorKind, PortError, Record};

/// A store in memory.
#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<State>);

#[derive(Default)]
struct State {
    stored: Stored,
    events: Vec<Event>,
    writes: u64,
    is_full: bool,
}

impl MemoryStore {
    /// Everything is lost.
    pub(crate) fn lose(&self) {
        self.with(|state| (state.stored, state.events) = (Stored::default(), Vec::new()));
    }

    /// Makes writes fail, or succeed again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.with(|state| state.is_full = is_full);
    }

    /// How often it was written to.
    pub(crate) fn writes(&self) -> u64 {
        self.with(|state| state.writes)
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut State)) -> Result<(), PortError> {
        self.with(|state| {
            state.writes += 1;
            if state.is_full {
                return Err(PortError::new(ErrorKind::Transient, "no space left on device"));
            }
            change(state);
            Ok(())
        })
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Stored, PortError> {
        Ok(self.with(|state| state.stored.clone()))
    }

    fn save_applied(&self, desired: &Desired) -> Result<(), PortError> {
        self.write(|state| {
            state.stored.revision = Some(desired.revision.clone());
            state.stored.apps = desired.apps.clone();
            state.stored.prune = desired.prune.clone();
        })
    }

    fn save_record(&self, record: &Record) -> Result<(), PortError> {
        self.write(|state| state.stored.record = record.clone())
    }

    fn append_events(&self, events: &[Event]) -> Result<(), PortError> {
        self.write(|state| state.events.extend_from_slice(events))
    }

    fn events(&self, limit: usize) -> Result<Vec<Event>, PortError> {
        Ok(self.with(|state| state.events[state.events.len().saturating_sub(limit)..].to_vec()))
    }
}
