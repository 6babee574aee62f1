//! What `run` and `create` share: from options to a container, by way of a spec.

mod describe;
mod document;
mod environment;
mod mounts;
mod one_off;
mod options;

pub(super) use environment::variables;
pub(super) use options::{ContainerOptions, Prepared};
