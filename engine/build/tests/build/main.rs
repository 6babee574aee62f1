//! Builds with real layers, real mounts and real commands.

mod cache;
mod configuration;
mod copy;
mod run;
mod stages;
mod support;
