//! The agent: wiring, the loop, the executor, the command line, the socket API and the store.
//!
//! A tour, from the outside in:
//! - [`cli`] has a file for each command; [`api`] is how commands reach a running agent, and
//!   [`service`] is what can be asked, with or without one.
//! - [`controller`] is the loop. It reads the source through [`reader`], compiles through [`compiled`],
//!   has the plan carried out by [`executor`] and [`hands`], and checks health through [`probes`].
//! - [`by_hand`] is what people asked for on this host, [`store`] what it remembers; [`host`] holds the data directory; [`view`] is what it publishes.

pub mod api;
pub mod by_hand;
pub mod cli;
pub mod clock;
pub mod compiled;
pub mod controller;
mod engine_memory;
pub mod engine_watch;
pub mod engines;
pub mod executor;
pub mod exposition;
pub mod files;
mod format;
mod halt;
pub mod hands;
pub mod host;
mod http_probe;
mod interleave;
mod limits;
mod looking;
pub mod probes;
mod pruner;
pub mod reader;
mod render;
pub mod retry;
mod secrets;
pub mod service;
pub mod settings;
pub mod sources;
mod stats;
pub mod store;
mod systemd;
mod terminal;
mod timing;
pub mod view;
pub mod watcher;
