//! Promises of the image store, on real files, a file per promise.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod archive;
mod cache;
mod check;
mod copies;
mod crash;
mod failing;
mod hostile;
mod images;
mod layers;
mod overlays;
mod prune;
mod snapshot;
mod support;
mod transfer;
