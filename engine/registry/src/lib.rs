//! Images from and to registries: a client of the OCI distribution specification.
//!
//! - [`Registries`]: brings an image into an [`ImageStore`](homeostat_image::ImageStore), or sends one of it.
//! - [`RegistryConfig`], [`HostConfig`], [`Patience`]: mirrors, certificates, plain HTTP; when to try again.
//!
//! A pull resolves a reference to a manifest ([`fetch`]), sees whether there is room ([`room`]), and brings the layers
//! that are not here, several at once: each is sent on from the network ([`feed`]) to the thread that writes, verifies
//! and unpacks it, and gone on with after a break. A push ([`push`]) sends what the registry does not have ([`upload`]),
//! then the manifest. A [`download`] of a file that is no image goes the same ways. Requests log in where that is asked for and follow redirects ([`repository`], [`login`]).

mod arriving;
mod challenge;
mod clients;
mod config;
mod download;
mod endpoint;
mod error;
mod failure;
mod feed;
mod fetch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod login;
mod manifest;
mod pull;
mod push;
mod range;
mod redirect;
mod reference;
mod repository;
mod retry;
mod room;
mod source;
mod telling;
mod turns;
mod upload;

pub use config::{HostConfig, Patience, RegistryConfig};
pub use error::RegistryError;
pub use homeostat_image::Platform;
pub use pull::Registries;
pub use reference::check_name;
