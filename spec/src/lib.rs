//! Specs: TOML files compiled to typed desired state.
//!
//! [`compile()`] takes the spec files of one revision and returns every [`App`] that is
//! valid, and a [`Diagnostic`] for everything that is not. Pure: touches no file, clock,
//! process or network.
//!
//! A file takes these steps, each of which reports what is wrong and goes on with what is right:
//!
//! 1. `document`: bytes to a tree of values that know where they stand; `${NAME}` is replaced.
//! 2. `structure`: the tree is checked against the JSON Schema ([`schema()`]), which is made from the
//!    types in `file`. Strings with a syntax of their own are read by `scalar`.
//! 3. `lower`: from the types in `file` to the model ([`App`]); references within the app are resolved.
//! 4. `collisions`: what two apps cannot both have.
//!
//! [`render()`] prints diagnostics for people.

mod collisions;
mod compile;
mod confinement;
mod diagnostic;
mod display;
mod document;
mod endpoint;
mod file;
mod kernel;
mod lower;
mod model;
mod name;
mod names;
mod policy;
mod problem;
mod prune;
mod render;
mod scalar;
mod schema;
mod secret;
mod structure;
mod suggest;
mod tree;

pub use compile::{Compiled, Node, SpecFile, compile, is_spec_path};
pub use confinement::{Confinement, Profile};
pub use diagnostic::{Diagnostic, Position, Severity};
pub use endpoint::Endpoint;
pub use kernel::{Device, Kernel, SysctlNamespace, ULIMITS, Ulimit, sysctl_namespace};
pub use model::*;
pub use name::{Name, NameError};
pub use names::{ExtraHost, Names};
pub use prune::{DiskRule, HostPrune, LabelMatch, PruneFilter, PruneKind, PrunePolicy, PruneRule};
pub use render::render;
pub use scalar::{format_cpus, format_duration, format_size, parse_duration};
pub use schema::{schema, source_schema};
pub use secret::Secret;
pub use tree::{EntryKind, Tree, TreeEntry};
