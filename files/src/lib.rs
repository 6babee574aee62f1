//! The one door for risky file work.
//!
//! - [`write_durably`], [`write_json_durably`] and [`read_json`]: files that survive a power cut whole, or say that
//!   they did not.
//! - [`Root`]: a directory tree that somebody else may have filled, in which no operation can reach out.
//! - [`copy_file`]: a copy with all that belongs to a file.
//! - [`overlay`]: mounts of layers.
//! - [`lock`]: one process at a time.
//! - [`disk_usage`], [`mark_used`]: how much room something takes, and when it was last used.
//! - [`accounts`]: users and groups of a tree by their names.
//! - [`remove_tree`]: removal that follows no link and enters no mount.

pub mod accounts;
mod copy;
mod durable;
mod entry;
mod error;
mod handle;
pub mod lock;
mod metadata;
pub mod overlay;
mod remove;
mod root;
mod state;
mod usage;

pub use copy::{copy_attributes, copy_file, shares_blocks};
pub use durable::{
    FileSystem, rename_durably, sync_directory, sync_file_system, write_durably, write_durably_with_mode,
};
pub use entry::{Entry, NodeKind};
pub use error::FileError;
pub use handle::Handle;
pub use metadata::{FileKind, Metadata, Permissions, Timestamp};
pub use remove::remove_tree;
pub use root::Root;
pub use state::{StateError, read_json, write_json, write_json_durably};
pub use usage::{disk_usage, mark_used};
