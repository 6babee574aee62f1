//! A host without a host: an engine and a clock in memory, for tests of the planner and of the loop.
//!
//! [`World`] does what an engine does, at once and by itself; it refuses what an engine refuses.
//! [`FakeEngine`] is the [`Engine`](crate::ports::Engine) over it, with faults: failed calls, calls that
//! fail after they took effect, lost events, power cuts. [`FakeClock`] only moves when told to. All of it
//! follows from seeds, so that a failed test can be run again. [`specs`] makes apps in few words.

mod clock;
mod engine;
mod faults;
mod foreign;
mod prune;
pub mod specs;
mod world;

pub use clock::FakeClock;
pub use engine::FakeEngine;
pub use faults::{Chaos, Fault, FaultTime, Operation, Random};
pub use world::{Behaviour, World};
