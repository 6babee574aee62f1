//! The API on the agent's socket: HTTP with JSON.
//!
//! Answers are the types of [`service`](crate::service); errors are an [`ApiError`] with a fitting HTTP
//! status. Streams (logs, builds) are one JSON value a line.

mod attach;
mod by_hand;
mod client;
mod containers;
mod error;
mod images;
mod server;
mod volumes;

pub use by_hand::{KillRequest, RemoveRequest, StopRequest};
pub use client::{Client, ClientError};
pub use error::ApiError;
pub use images::{Reference, Tag, WorkEvent};
pub use server::{PlanAnswer, serve_socket, serve_tcp};
