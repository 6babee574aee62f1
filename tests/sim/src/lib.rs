//! The agent's loop in a simulated world: engine, source, store and clock are in memory, time is virtual, and
//! all that happens follows from a seed.
//!
//! A run ([`run`]) lets the loop work through a random history of edits, broken specs, crashes of
//! containers, failing health checks, lost answers and events, an engine that does not answer, builds that hang, clocks
//! that are set, full disks, power cuts and kills of the agent. Every plan on the way has to be free of lint. Then the
//! world is quiet, and the host has to become what the last specs say, and stay so without anybody waking.

#[cfg(test)]
mod adoption;
mod clock;
#[cfg(test)]
mod engine_away;
mod history;
mod machine;
mod polls;
mod processes;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod prunes;
mod run;
mod source;
mod specs;
mod store;

pub use run::run;
