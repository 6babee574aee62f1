//! The API on the agent's socket: HTTP with JSON.
//!
//! Answers are the types of [`service`](crate::service); errors are an [`ApiError`] with a fitting HTTP
//! status. Streams (logs, builds) are one JSON value a line.

mod client;
mod error;
mod server;

pub use client::{Client, ClientError};
pub use error::ApiError;
pub use server::{BuildEvent, PlanAnswer, serve_socket, serve_tcp};
