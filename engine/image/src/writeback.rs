//! Writing what arrives to disk while more of it arrives, so that a commit has little left to wait for.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use homeostat_files::FileSystem;

/// How much the kernel may gather before it has to write. What takes less time than this is written by its commit alone.
const INTERVAL: Duration = Duration::from_millis(500);

/// The disk, by a descriptor of its own: what it has told here of a failure is told to commits all the same.
#[derive(Debug)]
pub(crate) struct Writeback {
    disk: Mutex<FileSystem>,
}

impl Writeback {
    pub(crate) fn new(disk: FileSystem) -> Self {
        Self { disk: Mutex::new(disk) }
    }

    /// Does the work, which fills layers, and keeps the disk writing meanwhile.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (working, done) = mpsc::channel::<()>();
            scope.spawn(move || {
                while done.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    self.write();
                }
            });
            let result = work();
            drop(working);
            result
        })
    }

    /// One at a time is enough for all layers.
    fn write(&self) {
        let disk = match self.disk.try_lock() {
            Ok(disk) => disk,
            Err(TryLockError::Poisoned(disk)) => disk.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(error) = disk.sync() {
            tracing::debug!(%error, "the commit will be told the same");
        }
    }
}
