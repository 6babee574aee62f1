//! Images from registries: a client of the OCI distribution specification, for pulls.
//!
//! - [`Registries`]: brings an image into an [`ImageStore`](homeostat_image::ImageStore).
//! - [`RegistryConfig`], [`HostConfig`], [`Patience`]: mirrors, certificates, plain HTTP; when to try again.
//! - [`Platform`]: which image of an index is for this host.
//!
//! A pull resolves a reference to a manifest ([`fetch`]), sees whether there is room ([`room`]), and brings the layers
//! that are not here, several at once: each is sent on from the network ([`feed`]) to the thread that writes, verifies
//! and unpacks it, and gone on with after a break. Requests log in where that is asked for and follow redirects
//! ([`repository`], [`login`]).

mod arriving;
mod challenge;
mod clients;
mod config;
mod endpoint;
mod error;
mod failure;
mod feed;
mod fetch;
mod login;
mod manifest;
mod platform;
mod pull;
mod reference;
mod repository;
mod retry;
mod room;
mod source;
mod telling;
mod turns;

pub use config::{HostConfig, Patience, RegistryConfig};
pub use error::RegistryError;
pub use platform::Platform;
pub use pull::Registries;
