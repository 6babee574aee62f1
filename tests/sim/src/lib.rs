//! The agent's loop in a simulated world: engine, source, store and clock are in memory, time is virtual, and
//! all that happens follows from a seed.
//!
//! A run ([`run`]) lets the loop work through a random history of edits, broken specs, crashes of
//! containers, lost answers and events, power cuts and kills of the agent. Every plan on the way has to be
//! free of lint. Then the world is quiet, and the host has to become what the last specs say, and stay so.

mod clock;
mod history;
mod run;
mod source;
mod specs;
mod store;

pub use run::run;
