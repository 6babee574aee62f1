//! How somebody is connected to a program in a container: the same frames from the monitor to the engine, and from the agent to
//! the command line.
//!
//! - [`Frame`] and [`Decoder`] are pure: bytes in, frames out.
//! - [`connect`] makes an [`Attachment`](homeostat_reconciler::ports::Attachment) of a socket; [`serve`] passes one on to a socket.

mod connection;
mod frame;

pub use connection::{ConnectError, connect, open, serve};
pub use frame::{Decoder, Frame, FrameError, PAYLOAD_LIMIT};
