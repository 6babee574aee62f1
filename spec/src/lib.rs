//! Specs: TOML files compiled to typed desired state.
//!
//! [`compile`] takes the spec files of one revision and returns every [`App`] that is
//! valid, and a [`Diagnostic`] for everything that is not. Pure: touches no file, clock,
//! process or network.

mod compile;
mod diagnostic;
mod model;
mod name;
mod tree;

pub use compile::{Compiled, Node, SpecFile, compile};
pub use diagnostic::{Diagnostic, Position, Severity};
pub use model::*;
pub use name::{Name, NameError};
pub use tree::{EntryKind, Tree, TreeEntry};
