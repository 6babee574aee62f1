//! What the agent remembers, on sled.
//!
//! sled's own `flush` does not reach the disk: every write here is followed by an fsync of its
//! database file. A store that cannot be opened or read (sled may panic on one) is moved aside
//! and started anew; everything in it is rebuilt from engine and source.

mod database;
mod document;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use homeostat_reconciler::ports::{Event, Store, Stored};
use homeostat_reconciler::{Desired, ErrorKind, PortError, Record};
use homeostat_spec::App;
use serde::Serialize;
use serde::de::DeserializeOwned;

use database::Database;
pub use database::DatabaseError;

const REVISION: &str = "revision";
const RECORD: &str = "record";
const PRUNE: &str = "prune";
const APP_PREFIX: &str = "app/";

/// How many events are kept.
const KEPT_EVENTS: usize = 5000;

/// The [`Store`] of an agent, in one directory.
pub struct SledStore {
    database: Database,
}

/// A store that was opened, and what had to be done to open it.
pub struct Opened {
    /// The store.
    pub store: SledStore,
    /// Where the old store was moved because it could not be read, and why it could not.
    pub moved_aside: Option<(PathBuf, DatabaseError)>,
}

impl SledStore {
    /// Opens the store in `directory`, and creates it if it is not there. One that cannot be read is
    /// renamed to `DIRECTORY.bad-N` and a new one is made.
    ///
    /// # Errors
    /// When it is opened already, and when no new store can be made: the disk is full, read-only or broken.
    pub fn open(directory: &Path) -> Result<Opened, PortError> {
        let first = match Self::open_whole(directory) {
            Ok(store) => return Ok(Opened { store, moved_aside: None }),
            // Nothing is wrong with it.
            Err(error @ DatabaseError::InUse) => {
                let message = "what the agent remembers is in use";
                return Err(PortError::new(ErrorKind::Transient, message).caused_by(error));
            }
            Err(error) => error,
        };
        let aside = move_aside(directory)
            .map_err(|e| unusable("a store that cannot be read could not be moved aside", e))?;
        let store = Self::open_whole(directory).map_err(|e| unusable("no store can be made", e))?;
        Ok(Opened { store, moved_aside: Some((aside, first)) })
    }

    /// Opens and reads everything once, so that damage shows now and not later.
    fn open_whole(directory: &Path) -> Result<Self, DatabaseError> {
        let store = Self { database: Database::open(directory)? };
        store.read()?;
        store.database.last_events(KEPT_EVENTS)?;
        Ok(store)
    }

    fn read(&self) -> Result<Stored, DatabaseError> {
        let mut apps = BTreeMap::new();
        for key in self.database.documents_under(APP_PREFIX)? {
            let app: App = self.read_json(&key)?.ok_or(DatabaseError::Incomplete { key })?;
            apps.insert(app.name.clone(), app);
        }
        Ok(Stored {
            revision: self.read_json(REVISION)?,
            apps,
            prune: self.read_json(PRUNE)?.unwrap_or_default(),
            record: self.read_json(RECORD)?.unwrap_or_default(),
        })
    }

    fn read_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DatabaseError> {
        let Some(bytes) = self.database.document(key)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| DatabaseError::Content { key: key.to_owned(), source })
    }
}

impl Store for SledStore {
    fn load(&self) -> Result<Stored, PortError> {
        self.read().map_err(|e| unusable("what the agent remembers could not be read", e))
    }

    fn save_applied(&self, desired: &Desired) -> Result<(), PortError> {
        let apps = &desired.apps;
        let save = || {
            let mut change = self.database.change();
            change.put(REVISION, &to_json(&desired.revision));
            change.put(PRUNE, &to_json(&desired.prune));
            for key in self.database.documents_under(APP_PREFIX)? {
                if !apps.contains_key(&key[APP_PREFIX.len()..]) {
                    change.remove(&key);
                }
            }
            for (name, app) in apps {
                change.put(&format!("{APP_PREFIX}{name}"), &to_json(app));
            }
            change.commit()
        };
        save().map_err(|e| unwritable("the applied revision could not be saved", e))
    }

    fn save_record(&self, record: &Record) -> Result<(), PortError> {
        let mut change = self.database.change();
        change.put(RECORD, &to_json(record));
        change.commit().map_err(|e| unwritable("back-off and restart counts could not be saved", e))
    }

    fn append_events(&self, events: &[Event]) -> Result<(), PortError> {
        let lines: Vec<Vec<u8>> = events.iter().map(to_json).collect();
        self.database
            .append_events(&lines, KEPT_EVENTS)
            .map_err(|e| unwritable("events could not be saved", e))
    }

    fn events(&self, limit: usize) -> Result<Vec<Event>, PortError> {
        let lines = self.database.last_events(limit).map_err(|e| unusable("events could not be read", e))?;
        // An event of a newer version that this one does not know is left out.
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the types of the store have only string keys and no failing serializer")
}

/// Renames `directory` to the first free `DIRECTORY.bad-N`.
fn move_aside(directory: &Path) -> Result<PathBuf, DatabaseError> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = (1..=u32::MAX)
        .map(|n| directory.with_file_name(format!("{name}.bad-{n}")))
        .find(|path| !path.exists())
        .expect("some number is free");
    fs_err::rename(directory, &aside).map_err(DatabaseError::Files)?;
    Ok(aside)
}

fn unusable(message: &str, error: DatabaseError) -> PortError {
    PortError::new(ErrorKind::Config, message).caused_by(error).with_hint(
        "check the disk under the data directory (--data-dir): space, read-only mount, errors in dmesg",
    )
}

fn unwritable(message: &str, error: DatabaseError) -> PortError {
    PortError::new(ErrorKind::Transient, message)
        .caused_by(error)
        .with_hint("free some space under the data directory (--data-dir)")
}
