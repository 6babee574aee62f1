//! Connecting somebody to containers, and to commands in them: connections that the engine gives up to a program.

mod command;
mod connection;
mod container;
mod frames;
mod outbox;
mod session;

/// Keys that nobody types in this order. Who leaves is seen before it reaches the engine; its own keys for that would only
/// take something away.
const NO_DETACH_KEYS: &str = "ctrl-^,ctrl-@,ctrl-^,ctrl-@,ctrl-^,ctrl-@";
