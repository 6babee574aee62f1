//! Credentials for registries, as the daemon's API takes them.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use homeostat_credentials::{Credentials, Login};

/// The credentials for a registry, if there are any. May ask a helper program, so that it blocks.
pub(crate) fn for_registry(registry: &str) -> Option<DockerCredentials> {
    homeostat_credentials::for_registry(registry).map(told)
}

/// The credentials for every registry that there are any for: a build may need any. Blocks likewise.
pub(crate) fn all() -> HashMap<String, DockerCredentials> {
    homeostat_credentials::all().into_iter().map(|(registry, found)| (registry, told(found))).collect()
}

fn told(found: Credentials) -> DockerCredentials {
    let known = match found.login {
        Login::Password { username, password } => DockerCredentials {
            username: Some(username),
            password: Some(password),
            ..DockerCredentials::default()
        },
        Login::IdentityToken(token) => {
            DockerCredentials { identitytoken: Some(token), ..DockerCredentials::default() }
        }
    };
    DockerCredentials { serveraddress: Some(found.server), ..known }
}
