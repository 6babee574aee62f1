//! Pulls from registries: one inside the test that does as it is told, also what it must not, and `docker-registry`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod at_once;
mod breaks;
mod documents;
mod downloads;
mod fake;
mod hostile;
mod http;
mod image;
mod login;
mod mirrors;
mod place;
mod pulls;
mod pushes;
mod real;
mod receiver;
mod refusals;
