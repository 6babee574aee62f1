//! A store in memory that outlives the loop.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use homeostat_reconciler::ports::{Event, Store, Stored};
use homeostat_reconciler::{PortError, Record};
use homeostat_spec::{App, Name};

/// A store in memory.
#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<(Stored, Vec<Event>)>);

impl MemoryStore {
    /// Everything is lost.
    pub(crate) fn lose(&self) {
        self.with(|state| *state = (Stored::default(), Vec::new()));
    }

    fn with<T>(&self, change: impl FnOnce(&mut (Stored, Vec<Event>)) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Stored, PortError> {
        Ok(self.with(|(stored, _)| stored.clone()))
    }

    fn save_applied(&self, revision: &str, apps: &BTreeMap<Name, App>) -> Result<(), PortError> {
        self.with(|(stored, _)| {
            stored.revision = Some(revision.to_owned());
            stored.apps = apps.clone();
        });
        Ok(())
    }

    fn save_record(&self, record: &Record) -> Result<(), PortError> {
        self.with(|(stored, _)| stored.record = record.clone());
        Ok(())
    }

    fn append_events(&self, events: &[Event]) -> Result<(), PortError> {
        self.with(|(_, kept)| kept.extend_from_slice(events));
        Ok(())
    }

    fn events(&self, limit: usize) -> Result<Vec<Event>, PortError> {
        Ok(self.with(|(_, kept)| kept[kept.len().saturating_sub(limit)..].to_vec()))
    }
}
