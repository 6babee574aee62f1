//! The process that runs one container: `homeostat monitor`, and what the agent needs to talk to it.
//!
//! Making a container forks and runs allocating code in the child, which only a process with a single thread may do. So the agent's
//! binary starts itself anew, one process per container, and calls [`main`] before it does anything else.
//!
//! ```text
//! agent ──writes──> DIRECTORY/request.json          RunRequest
//!       ──starts──> homeostat monitor run DIRECTORY
//!       <──stdout── one line                         Report
//!                   DIRECTORY/run.json               RunState, while it runs
//!       <──────────> DIRECTORY/attach.sock            frames of homeostat-attach, with who is attached
//!                   LOGDIR/current.log, .1, .2, ...  log
//!                   DIRECTORY/exit.json              ExitRecord, when it has ended
//! ```
//!
//! - The monitor is the parent of the container's first process, holds its stdout and stderr and writes the log itself. It
//!   goes on when the agent dies, and does not end on signals that ask it to: it ends when its container has.
//! - The container ends with its monitor: the kernel kills it. Nothing runs unwatched. See [`remove_remains`].
//! - The root file system is mounted in the monitor's mount namespace only, ports and the network namespace are held by its descriptors:
//!   after a kill -9 the kernel takes them away.
//! - [`cgroup`] works without a monitor.

pub mod cgroup;
mod client;
mod clients;
mod container;
mod documents;
mod entry;
mod exec;
mod failure;
mod foreground;
mod identity;
mod input;
mod isolation;
mod outputs;
mod remains;
mod request;
mod run;
mod runtime;
mod session;
mod state;
mod stdio;
mod step;
mod supervise;

pub use documents::save_rotation;
pub use entry::main;
pub use remains::{RemainsError, remove as remove_remains};
pub use request::*;
pub use state::*;
