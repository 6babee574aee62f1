//! Credentials for registries, from Docker's configuration file and the helpers that it names.
//!
//! The file is read every time: credentials change, and there is no hurry.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use fs_err as fs;
use serde::Deserialize;

/// What Docker calls its own registry in its configuration file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// How to log in to a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The registry, as the configuration file calls it.
    pub server: String,
    /// What to log in with.
    pub login: Login,
}

/// What to log in with.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user with a password.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others.
    IdentityToken(String),
}

/// Secrets stay out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The credentials for a registry, such as `docker.io` or `registry.example:5000`, if there are any. May run a helper
/// program, so that it blocks.
pub fn for_registry(registry: &str) -> Option<Credentials> {
    for_registry_in(&directory()?, registry)
}

/// [`for_registry`] from the `config.json` of this directory.
pub fn for_registry_in(directory: &Path, registry: &str) -> Option<Credentials> {
    read(&configuration(directory)?, registry)
}

/// The credentials for every registry that the configuration file names, by that name: a build may need any. Blocks
/// likewise.
pub fn all() -> BTreeMap<String, Credentials> {
    let Some(text) = directory().and_then(|directory| configuration(&directory)) else {
        return BTreeMap::new();
    };
    let named: Named = serde_json::from_str(&text).unwrap_or_default();
    let registries = named.auths.into_keys().chain(named.cred_helpers.into_keys());
    registries.filter_map(|registry| read(&text, &registry).map(|found| (registry, found))).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    auths: BTreeMap<String, serde_json::Value>,
    cred_helpers: BTreeMap<String, serde_json::Value>,
}

/// Where `config.json` is; see `DOCKER_CONFIG` in Docker's documentation.
fn directory() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

fn configuration(directory: &Path) -> Option<String> {
    fs::read_to_string(directory.join("config.json")).ok()
}

fn read(text: &str, registry: &str) -> Option<Credentials> {
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    let login = match docker_credential::get_credential_from_reader(Cursor::new(text), server) {
        Ok(DockerCredential::IdentityToken(token)) => Login::IdentityToken(token),
        Ok(DockerCredential::UsernamePassword(username, password)) => Login::Password { username, password },
        Err(CredentialRetrievalError::NoCredentialConfigured) => return None,
        Err(error) => {
            // The registry may do without.
            tracing::warn!(registry, %error, "credentials cannot be read");
            return None;
        }
    };
    Some(Credentials { server: server.to_owned(), login })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_registry_and_dockers_own_has_a_name_of_its_own() {
        let text = r#"{"auths": {
            "registry.example:5000": {"auth": "dXNlcjpzZWNyZXQ="},
            "https://index.docker.io/v1/": {"auth": "aHViOnBhc3M="}
        }}"#;
        let login = |username: &str, password: &str| Login::Password {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        assert!(read(text, "registry.example:5000").unwrap().login == login("user", "secret"));
        assert!(read(text, "docker.io").unwrap().login == login("hub", "pass"));
        assert!(read(text, "ghcr.io").is_none());
        assert!(read("{", "ghcr.io").is_none());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let text = r#"{"auths": {"registry.example": {"auth": "dXNlcjpzZWNyZXQ="}}}"#;
        let found = read(text, "registry.example").unwrap();
        assert!(!format!("{found:?}").contains("secret"));
    }
}
