//! Builds with real layers, real mounts and real commands.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod cache;
mod configuration;
mod copy;
mod faults;
mod fetch;
mod parallel;
mod run;
mod secrets;
mod stages;
mod support;
mod web;
