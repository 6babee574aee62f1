//! Docker Engine, Podman, registries and servers of files for one test each.
//!
//! A daemon has mounts, control groups, a data directory and a socket of its own, and the network namespace of the test's
//! process. It ends with the test, with everything that came of it, also when the test panics or is killed: see
//! `keeper.sh`.

#![expect(clippy::unwrap_used, reason = "a daemon that cannot be had fails the test")]
#![expect(clippy::missing_panics_doc, reason = "a daemon that cannot be had fails the test")]

mod certificates;
mod docker;
mod keeper;
mod ping;
mod podman;
mod proxy;
mod registry;
mod release;
mod rootless;
mod web;

pub use certificates::Certificates;
pub use docker::Docker;
pub use keeper::Daemon;
pub use podman::Podman;
pub use proxy::{Fault, Proxy};
pub use registry::{PASSWORD, Registry, USER};
pub use release::Release;
pub use web::Web;
