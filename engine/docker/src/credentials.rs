//! Credentials for registries, from Docker's configuration file and the helpers that it names.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::PathBuf;

use bollard::auth::DockerCredentials;
use docker_credential::DockerCredential;
use fs_err as fs;
use serde::Deserialize;

/// What Docker calls its own registry in its configuration file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The credentials for a registry, if there are any. May ask a helper program, so that it blocks.
pub(crate) fn for_registry(registry: &str) -> Option<DockerCredentials> {
    read(&configuration()?, registry)
}

/// The credentials for every registry that the configuration file names: a build may need any. Blocks likewise.
pub(crate) fn all() -> HashMap<String, DockerCredentials> {
    let Some(text) = configuration() else { return HashMap::new() };
    let named: Named = serde_json::from_str(&text).unwrap_or_default();
    let registries = named.auths.into_keys().chain(named.cred_helpers.into_keys());
    registries.filter_map(|registry| read(&text, &registry).map(|found| (registry, found))).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    auths: HashMap<String, serde_json::Value>,
    cred_helpers: HashMap<String, serde_json::Value>,
}

/// The text of `config.json`; see `DOCKER_CONFIG` in Docker's documentation. It is read every time: credentials
/// change, and there is no hurry.
fn configuration() -> Option<String> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let directory = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home)?;
    fs::read_to_string(directory.join("config.json")).ok()
}

fn read(text: &str, registry: &str) -> Option<DockerCredentials> {
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    let found = docker_credential::get_credential_from_reader(Cursor::new(text), server);
    let credentials = match found {
        Ok(DockerCredential::IdentityToken(token)) => {
            DockerCredentials { identitytoken: Some(token), ..DockerCredentials::default() }
        }
        Ok(DockerCredential::UsernamePassword(username, password)) => DockerCredentials {
            username: Some(username),
            password: Some(password),
            ..DockerCredentials::default()
        },
        Err(docker_credential::CredentialRetrievalError::NoCredentialConfigured) => return None,
        Err(error) => {
            // The registry may do without.
            tracing::warn!(registry, %error, "credentials cannot be read");
            return None;
        }
    };
    Some(DockerCredentials { serveraddress: Some(server.to_owned()), ..credentials })
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
        let found = read(text, "registry.example:5000").unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("user"), Some("secret")));
        assert_eq!(read(text, "docker.io").unwrap().username.as_deref(), Some("hub"));
        assert!(read(text, "ghcr.io").is_none());
        assert!(read("{", "ghcr.io").is_none());
    }
}
