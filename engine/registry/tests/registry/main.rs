//! Pulls from registries: one inside the test that does as it is told, also what it must not, and `docker-registry`.

mod at_once;
mod breaks;
mod documents;
mod fake;
mod hostile;
mod image;
mod login;
mod mirrors;
mod place;
mod pulls;
mod real;
mod refusals;
