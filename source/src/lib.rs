//! Where specs come from: a directory, or a branch of a git repository.
//!
//! - [`parse_source`] tells which of the two a command-line argument means.
//! - [`DirectorySource`] reads a directory and watches it with inotify.
//! - [`fetch_directory`] writes a directory of a git repository out, once: a build context. [`commit_of`] tells
//!   which commit that is.
//! - [`GitSource`] keeps a bare mirror of one branch and reads the object database; nothing is ever checked out.
//!
//! Both are [`Source`](homeostat_reconciler::ports::Source)s. What they read is hostile input: no path and no
//! symbolic link of it leads outside, and what has no place in a build context (devices, submodules) is refused.

mod content;
mod directory;
mod git;
mod kind;
mod limits;
mod spec_file;
mod staging;

pub use directory::DirectorySource;
pub use git::{Credentials, GitConfig, GitSource, commit_of, fetch_directory, initialize};
pub use kind::{SourceKind, parse_source};
