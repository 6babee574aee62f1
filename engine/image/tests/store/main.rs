//! Promises of the image store, on real files, a file per promise.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod images;
mod layers;
mod support;
