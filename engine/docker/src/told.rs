//! What the engine tells of containers, also in states that bollard's types do not have.
//!
//! bollard refuses a whole list for one container in a state that it does not know, as Podman's `stopped` (exited, and
//! not cleaned up yet). The answer is read here, and such states are put in the words of Docker's API.
//!
//! And what the engine tells of its disk usage: bollard's types are those of an API that is newer than most engines.

use bollard::ClientVersion;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, SystemInfo, Volume};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::stream::send;

/// All containers; with the sizes of their writable layers if asked for.
pub(crate) async fn containers(
    api: &bollard::Docker,
    endpoint: &Endpoint,
    with_sizes: bool,
) -> Result<Vec<ContainerSummary>, Failure> {
    let path = format!("/v{}/containers/json?all=true&size={with_sizes}", api.client_version());
    let mut told = get(endpoint, &path).await?;
    for container in told.as_array_mut().into_iter().flatten() {
        put_in_known_words(container.get_mut("State"));
    }
    typed(told, endpoint)
}

/// Everything about one container, by its id or name.
pub(crate) async fn container(
    api: &bollard::Docker,
    endpoint: &Endpoint,
    name: &str,
) -> Result<ContainerInspectResponse, Failure> {
    let mut told = get(endpoint, &format!("/v{}/containers/{name}/json", api.client_version())).await?;
    put_in_known_words(told.pointer_mut("/State/Status"));
    typed(told, endpoint)
}

/// About the engine itself, and whether it is one of a user without rights: Docker says so among its options for
/// security, Podman in a field of its own.
pub(crate) async fn info(api: &bollard::Docker, endpoint: &Endpoint) -> Result<(SystemInfo, bool), Failure> {
    let told = get(endpoint, &format!("/v{}/info", api.client_version())).await?;
    let is_podmans = told["Rootless"] == true;
    let info: SystemInfo = typed(told, endpoint)?;
    let mut options = info.security_options.iter().flatten();
    let is_dockers = options.any(|option| option.contains("rootless"));
    Ok((info, is_podmans || is_dockers))
}

/// What `GET /system/df` tells. What an engine has nothing of may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DiskUsage {
    /// The size of all layers of images, each counted once.
    pub(crate) layers_size: Option<i64>,
    pub(crate) containers: Option<Vec<ContainerSize>>,
    pub(crate) volumes: Option<Vec<Volume>>,
    pub(crate) build_cache: Option<Vec<BuildCache>>,
}

/// What a container takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ContainerSize {
    pub(crate) state: Option<String>,
    /// What it has written.
    pub(crate) size_rw: Option<i64>,
}

/// A record of what BuildKit keeps of builds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct BuildCache {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// What it stands on, as 20.10 tells it.
    pub(crate) parent: Option<String>,
    /// What it stands on, as later versions tell it.
    pub(crate) parents: Option<Vec<String>>,
    pub(crate) in_use: bool,
    /// An image has it as well.
    pub(crate) shared: bool,
    pub(crate) size: i64,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl BuildCache {
    /// The ids of the records that it stands on.
    pub(crate) fn stands_on(&self) -> impl Iterator<Item = &String> {
        self.parent.iter().chain(self.parents.iter().flatten())
    }

    /// When a build last used it.
    pub(crate) fn used(&self) -> Timestamp {
        self.last_used_at.or(self.created_at).unwrap_or_default()
    }

    /// What its removal frees, in bytes: what an image has as well stays on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        if self.shared { 0 } else { self.size.try_into().unwrap_or_default() }
    }
}

/// The last version of the API that tells of the disk usage in these words.
const LAST_IN_THESE_WORDS: ClientVersion = ClientVersion { major_version: 1, minor_version: 51 };

/// The disk usage of everything or, if the engine can leave out the rest, of build cache alone.
pub(crate) async fn disk_usage(
    api: &bollard::Docker,
    endpoint: &Endpoint,
    only_build_cache: bool,
) -> Result<DiskUsage, Failure> {
    let agreed = api.client_version();
    let version = if agreed > LAST_IN_THESE_WORDS { LAST_IN_THESE_WORDS } else { agreed };
    let query = if only_build_cache { "?type=build-cache" } else { "" };
    typed(get(endpoint, &format!("/v{version}/system/df{query}")).await?, endpoint)
}

/// The states of Podman that Docker has not (libpod/define/containerstate.go).
fn put_in_known_words(state: Option<&mut Value>) {
    let Some(state) = state else { return };
    let known = match state.as_str().unwrap_or_default() {
        "stopped" => "exited",
        "configured" | "initialized" => "created",
        _ => return,
    };
    *state = Value::from(known);
}

fn typed<T: DeserializeOwned>(told: Value, endpoint: &Endpoint) -> Result<T, Failure> {
    serde_json::from_value(told).map_err(|error| Failure::new(error.into(), endpoint))
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<Value, Failure> {
    let request = Request::get(path).body(Empty::<Bytes>::new());
    let failure = |error: Error| Failure::new(error, endpoint);
    let answer = send(endpoint, request.map_err(|error| failure(error.into()))?).await?;
    let body = answer.into_body().collect().await.map_err(|error| failure(error.into()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| failure(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_docker_has_not_are_told_as_those_that_it_has() {
        for (told, known) in [("stopped", "exited"), ("configured", "created"), ("running", "running")] {
            let mut state = Value::from(told);
            put_in_known_words(Some(&mut state));
            assert_eq!(state, known);
        }
    }
}
