//! Names of containers: `homeostat dns`, the process that answers them on every bridge of an engine, and what the engine
//! needs to talk to it.
//!
//! There is one process per run directory. It goes on when the engine's own ends, as monitors do, and costs about as much:
//! it has one thread and sleeps until somebody asks.
//!
//! ```text
//! engine ──writes──> DIRECTORY/names.json           Names: bridges, and who is on them
//!        ──starts──> homeostat dns DIRECTORY
//!       <──stdout── one line                         Report, when it listens
//!        ──connects─> DIRECTORY/control              it reads the names anew
//!       <──────────  one line                         Report
//! ```
//!
//! - [`Names`] says who has which name and address; [`answer`](fn@answer) is all that is decided about a query, without touching
//!   the world. [`HostResolver`] knows the host's own name servers.
//! - It listens at each bridge's gateway address, only to what comes in by that bridge, at a port that the kernel chooses. The
//!   engine's rules lead port 53 there: so neither a name server of the host nor a published port 53 is in its way.
//! - What is not a name of a container is asked of the host's name servers, from the host's network namespace: also
//!   one on loopback.
//! - When there is no bridge left it ends.

mod answer;
mod client;
mod confine;
mod control;
mod entry;
mod flight;
mod host;
mod listener;
mod names;
mod server;
mod stream;

/// What is done with bytes of strangers beside [`answer`](fn@answer), for the fuzz targets.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::answer::{answers, failed, fitted, is_refusal};

    /// What is sent to who has asked when a name server has said this.
    pub fn take_answer(query: &[u8], told: &[u8]) -> Option<Vec<u8>> {
        let taken = answers(query, told) && !is_refusal(told);
        if taken { fitted(query, told) } else { failed(query) }
    }
}

pub use answer::{Decision, answer};
pub use client::{Responder, ask_again};
pub use entry::main;
pub use host::HostResolver;
pub use names::{ContainerName, NAMES_FILE, Names, NetworkNames, Report, ZONE};
