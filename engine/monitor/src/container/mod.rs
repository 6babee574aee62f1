//! What a container is made of, and how its processes are started.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod executor;
pub(crate) mod init;
pub(crate) mod kernel;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod seccomp;
pub(crate) mod spec;
pub(crate) mod targets;
pub(crate) mod user;
