//! A host of its own for each end-to-end test: network namespace, directories, source, and the built binary.

#![allow(clippy::missing_panics_doc, reason = "everything here panics to fail a test")]

mod agent;
mod command;
mod compose;
mod host;
mod leaks;
mod overlayfs;
mod specs;
mod typist;
mod wait;

pub use agent::Agent;
pub use command::{Outcome, run};
pub use compose::Compose;
pub use host::Host;
pub use specs::{busybox_image, busybox_in_docker, sleeper, web};
pub use typist::Typist;
pub use wait::{eventually, wait_until};
