//! Compose files turned into specs.
//!
//! [`import()`] reads Compose files, by the Compose specification, and gives the spec of one app, and a [`Finding`]
//! for everything that the spec says in another way or not at all. Pure: what it needs of neighbouring files and of
//! the environment, it asks [`Surroundings`] for.
//!
//! 1. `yaml`: text to a tree of values that know where they stand, within a `budget`.
//! 2. `load`: variables are replaced, `include` and `extends` resolved. `project`: files are merged; one tree is left.
//! 3. `service`, `network`, `volume`: a file per part of Compose, each from the tree to a part of the `spec`.
//! 4. `spec`: the TOML text. Every value was tried against the rules of `homeostat-spec` before.

mod adopt;
mod budget;
mod check;
mod dotenv;
mod error;
mod files;
mod finding;
mod import;
mod load;
mod merge;
mod names;
mod network;
mod paths;
mod project;
mod service;
mod spec;
mod units;
mod variables;
mod volume;
mod words;
mod yaml;

pub use error::ImportError;
pub use finding::{Finding, Kind};
pub use import::{ComposeFile, Import, Request, import};

/// What an import asks of the world beyond the Compose file. All paths are absolute.
pub trait Surroundings {
    /// The content of a file; `None` when there is none.
    ///
    /// # Errors
    /// A message when it is there and cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// Whether something is at a path.
    fn exists(&self, path: &str) -> bool;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
}
