//! Builds images from Dockerfiles into the image store.
//!
//! - [`build`]: one build, from the context to an image with a name.
//! - [`StepRunner`]: who runs the command of a `RUN`; the embedded engine does, in a container.
//! - [`Fetcher`]: who gets what an `ADD` names by an address.
//! - [`Reporter`]: who is told how it goes on.
//! - [`Cancel`]: ends a build early.
//! - [`BuildError`]: why there is no image, with line, kind and hint.
//!
//! Each stage is built in a mount namespace of its own, on a thread of its own: what it mounts is seen by nobody else and
//! goes when the thread ends, also by `kill -9`. Layers are made in the store's staging area, which the store empties when
//! it is opened. So a build that fails or dies leaves nothing but what the cache knows of the steps that went well.

mod agent_socket;
mod build;
mod cancel;
mod configuration;
mod context;
mod copy;
mod error;
mod isolation;
mod journal;
mod key;
mod memory;
mod mounts;
mod options;
mod owner;
mod ports;
mod resolve;
mod running;
mod schedule;
mod stage;
mod stages;
mod stubs;
mod times;

pub use build::build;
pub use cancel::{Cancel, Watching};
pub use error::{BuildError, StepError};
pub use options::{BuildOptions, BuildOutcome};
pub use ports::{Fetcher, Reporter, RunError, RunStep, StepMount, StepRunner, Stream};
