//! sled, made durable and its panics contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::document;

/// Key of the mark that every database of ours has; its value is the version of the layout.
const MARK: &str = "layout";

/// An operation on the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// sled reported an error.
    #[error("the database failed")]
    Sled(#[from] sled::Error),
    /// sled panicked; it does so on some damaged files.
    #[error("the database is damaged ({0})")]
    Panicked(String),
    /// The file system failed.
    #[error("the database's files cannot be used")]
    Files(#[source] std::io::Error),
    /// It is opened already, here or in another process.
    #[error("the database is in use")]
    InUse,
    /// There are files of a database, and what was in it is not.
    #[error("the database has lost its content")]
    Emptied,
    /// A document is there in part, or its checksum is wrong.
    #[error("the entry {key} is damaged")]
    Incomplete {
        /// The document's key.
        key: String,
    },
    /// A document is whole and not what it should be.
    #[error("the entry {key} cannot be understood")]
    Content {
        /// The document's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Documents by key, and a list of events.
pub(super) struct Database {
    directory: PathBuf,
    documents: sled::Tree,
    events: sled::Tree,
    sled: sled::Db,
}

impl Database {
    pub(super) fn open(directory: &Path) -> Result<Self, DatabaseError> {
        fs_err::create_dir_all(directory).map_err(DatabaseError::Files)?;
        remove_unfinished_snapshots(directory).map_err(DatabaseError::Files)?;
        let is_new = !directory.join("db").exists();
        wait_until_closed(directory)?;
        let _patience = Patience::begin();
        let opened = contained(|| {
            let database = sled::Config::new()
                .path(directory)
                // No thread of its own that wakes up to flush: every write here is flushed at once.
                .flush_every_ms(None)
                .cache_capacity(1024 * 1024)
                .open()?;
            Ok(Self {
                directory: directory.to_owned(),
                documents: database.open_tree("documents")?,
                events: database.open_tree("events")?,
                sled: database,
            })
        })?;
        opened.check_mark(is_new)?;
        opened.sync()?;
        sync_directories(directory)?;
        Ok(opened)
    }

    /// sled takes some damaged files for those of a new database. The mark tells them apart.
    fn check_mark(&self, is_new: bool) -> Result<(), DatabaseError> {
        if is_new {
            contained(|| self.sled.insert(MARK, b"1")).map(drop)
        } else if contained(|| self.sled.contains_key(MARK))? {
            Ok(())
        } else {
            Err(DatabaseError::Emptied)
        }
    }

    /// The document at `key`, checked.
    pub(super) fn document(&self, key: &str) -> Result<Option<Vec<u8>>, DatabaseError> {
        let pieces = contained(|| {
            self.documents.scan_prefix(piece_prefix(key)).values().collect::<sled::Result<Vec<_>>>()
        })?;
        if pieces.is_empty() {
            return Ok(None);
        }
        document::join(&pieces).map(Some).ok_or_else(|| DatabaseError::Incomplete { key: key.to_owned() })
    }

    /// Keys of the documents that begin with `prefix`.
    pub(super) fn documents_under(&self, prefix: &str) -> Result<Vec<String>, DatabaseError> {
        let keys = contained(|| self.documents.scan_prefix(prefix).keys().collect::<sled::Result<Vec<_>>>())?;
        let mut names: Vec<String> = keys
            .iter()
            .filter_map(|key| key.split(|byte| *byte == 0).next())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    /// A change of several documents that is made whole or not at all.
    pub(super) fn change(&self) -> Change<'_> {
        Change { database: self, puts: Vec::new(), removals: Vec::new() }
    }

    /// Appends events and drops the oldest beyond `keep`.
    pub(super) fn append_events(&self, lines: &[Vec<u8>], keep: usize) -> Result<(), DatabaseError> {
        contained(|| {
            let last = self.events.last()?.map_or(0, |(key, _)| event_number(&key));
            for (number, line) in (last + 1..).zip(lines) {
                self.events.insert(number.to_be_bytes(), line.as_slice())?;
            }
            let newest = last + lines.len() as u64;
            let oldest = self.events.first()?.map_or(0, |(key, _)| event_number(&key));
            for number in oldest..(newest + 1).saturating_sub(keep as u64) {
                self.events.remove(number.to_be_bytes())?;
            }
            Ok(())
        })?;
        self.sync()
    }

    /// The newest events, oldest first.
    pub(super) fn last_events(&self, limit: usize) -> Result<Vec<Vec<u8>>, DatabaseError> {
        let mut lines = contained(|| {
            self.events
                .iter()
                .values()
                .rev()
                .take(limit)
                .map(|line| line.map(|line| line.to_vec()))
                .collect::<sled::Result<Vec<_>>>()
        })?;
        lines.reverse();
        Ok(lines)
    }

    /// Makes everything written so far survive a power cut.
    fn sync(&self) -> Result<(), DatabaseError> {
        contained(|| self.sled.flush())?;
        let file = fs_err::File::open(self.directory.join("db")).map_err(DatabaseError::Files)?;
        file.sync_all().map_err(DatabaseError::Files)
    }
}

/// How long a database that is being closed is waited for.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

/// sled's threads keep its file locked for a moment after the last handle was dropped, and its error for that is not told
/// from one of the disk.
fn wait_until_closed(directory: &Path) -> Result<(), DatabaseError> {
    let file = match fs_err::File::open(directory.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DatabaseError::Files(error)),
    };
    let deadline = Instant::now() + CLOSING_LIMIT;
    loop {
        // Given up again with the file.
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Err(Errno::WOULDBLOCK) => return Err(DatabaseError::InUse),
            Err(error) => return Err(DatabaseError::Files(error.into())),
        }
    }
}

/// An hour, in nanoseconds.
const LONG_SLACK: u64 = 3_600_000_000_000;

/// Lets threads that are started meanwhile wake up late from sleep, up to an hour after their time.
///
/// sled's pool has seven threads that look for work each second for as long as the process lives; what wakes
/// them for work wakes them at once, and so it can be as late as it likes without. A new thread takes over the timer slack of
/// the one that starts it (`PR_SET_TIMERSLACK`, prctl(2)).
struct Patience;

impl Patience {
    fn begin() -> Self {
        // Without it the threads wake up more often, and that is all.
        let _ = prctl::set_timerslack(LONG_SLACK);
        Self
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        // 0 is what the thread began with.
        let _ = prctl::set_timerslack(0);
    }
}

/// Collects changes of documents; see [`Database::change`].
pub(super) struct Change<'a> {
    database: &'a Database,
    puts: Vec<(String, Vec<u8>)>,
    removals: Vec<String>,
}

impl Change<'_> {
    pub(super) fn put(&mut self, key: &str, content: &[u8]) {
        self.puts.push((key.to_owned(), content.to_vec()));
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.removals.push(key.to_owned());
    }

    /// Writes what differs from what is there, durably.
    pub(super) fn commit(self) -> Result<(), DatabaseError> {
        let mut batch = sled::Batch::default();
        let mut changed = false;
        for key in &self.removals {
            changed |= self.drop_pieces(&mut batch, key, 0)?;
        }
        for (key, content) in &self.puts {
            // A damaged document is simply replaced.
            if self.database.document(key).ok().flatten().as_deref() == Some(content) {
                continue;
            }
            let pieces = document::split(content);
            self.drop_pieces(&mut batch, key, pieces.len())?;
            for (number, piece) in pieces.into_iter().enumerate() {
                batch.insert(piece_key(key, number), piece);
            }
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        contained(|| self.database.documents.apply_batch(batch))?;
        self.database.sync()
    }

    /// Removes the pieces of `key` from number `from` on.
    fn drop_pieces(&self, batch: &mut sled::Batch, key: &str, from: usize) -> Result<bool, DatabaseError> {
        let pieces = &self.database.documents;
        let keys =
            contained(|| pieces.scan_prefix(piece_prefix(key)).keys().collect::<sled::Result<Vec<_>>>())?;
        let mut any = false;
        for piece in keys {
            if *piece >= *piece_key(key, from).as_slice() {
                batch.remove(piece);
                any = true;
            }
        }
        Ok(any)
    }
}

fn piece_prefix(key: &str) -> Vec<u8> {
    let mut prefix = key.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

fn piece_key(key: &str, number: usize) -> Vec<u8> {
    let mut piece = piece_prefix(key);
    piece.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    piece
}

fn event_number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

/// The names in the store's directory and its own name survive a power cut.
fn sync_directories(directory: &Path) -> Result<(), DatabaseError> {
    for path in [Some(directory), directory.parent()].into_iter().flatten() {
        let opened = fs_err::File::open(path).map_err(DatabaseError::Files)?;
        opened.sync_all().map_err(DatabaseError::Files)?;
    }
    Ok(())
}

/// Runs an operation of sled and turns a panic into an error.
fn contained<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, DatabaseError> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(result) => result.map_err(DatabaseError::Sled),
        Err(panic) => Err(DatabaseError::Panicked(panic_message(panic.as_ref()))),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

/// Removes snapshots that a kill left half written: sled takes them for whole ones, and refuses to open.
fn remove_unfinished_snapshots(directory: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs_err::remove_file(path)?;
        }
    }
    Ok(())
}
