//! How layers become the tree that containers see.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use fs_err as fs;
use homeostat_files::overlay;
use homeostat_files::remove_tree;
use rustix::io::Errno;

use crate::StoreError;
use crate::marks::Marks;
use crate::store::chain;

/// How layers become one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageDriver {
    /// Overlayfs mounts them.
    Overlayfs,
    /// They are copied, as by Docker's driver of this name: slower, and each container takes the room of its image.
    Vfs {
        /// Why overlayfs cannot be used.
        reason: String,
    },
}

impl fmt::Display for StorageDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlayfs => "overlayfs",
            Self::Vfs { .. } => "vfs",
        })
    }
}

/// Finds out by trying what can be used in a store in which nobody else works. Where a trial says nothing, as on a full
/// disk, overlayfs is taken to work, as it does nearly everywhere.
pub(crate) fn find(store: &Path) -> Result<(StorageDriver, Marks), StoreError> {
    let copied = |reason: &str| StorageDriver::Vfs {
        reason: format!("overlayfs cannot be used in {}: {reason}", store.display()),
    };
    if let Some(marks) = Marks::known(store) {
        let reason =
            "the layers there are unpacked in a form for other file systems, as this one took no whiteouts";
        return Ok((copied(reason), marks));
    }
    let directory = store.join("staging/trial");
    let tried = overlay::try_in(&directory);
    remove_tree(&directory)?;
    match tried {
        Err(error) if !is_full(store) && !says_nothing(&error) => {
            if has_layers(store)? {
                return Ok((copied(&chain(&error)), Marks::Overlayfs));
            }
            fs::create_dir(&directory)?;
            let marks = Marks::find(store, &directory);
            remove_tree(&directory)?;
            Ok((copied(&chain(&error)), marks?))
        }
        Ok(()) | Err(_) => Ok((StorageDriver::Overlayfs, Marks::Overlayfs)),
    }
}

/// Whether there are layers, which then have overlayfs' marks: whoever opens the store with fewer capabilities must not take
/// these for files.
fn has_layers(store: &Path) -> Result<bool, StoreError> {
    Ok(fs::read_dir(store.join("layers"))?.next().is_some())
}

fn is_full(store: &Path) -> bool {
    rustix::fs::statvfs(store)
        .is_ok_and(|told| told.f_bavail == 0 || (told.f_files > 0 && told.f_favail == 0))
}

/// Whether an error says nothing about overlayfs, but about the moment or about who tries.
fn says_nothing(error: &(dyn Error + 'static)) -> bool {
    const SAYS_NOTHING: [Errno; 10] = [
        Errno::ACCESS,
        Errno::AGAIN,
        Errno::BUSY,
        Errno::DQUOT,
        Errno::INTR,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::PERM,
    ];
    let mut next = Some(error);
    while let Some(error) = next {
        let number = error.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        if number.is_some_and(|number| SAYS_NOTHING.contains(&number)) {
            return true;
        }
        next = error.source();
    }
    false
}
