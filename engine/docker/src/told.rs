//! What the engine tells of containers, also in states that bollard's types do not have.
//!
//! bollard refuses a whole list for one container in a state that it does not know, as Podman's `stopped` (exited, and
//! not cleaned up yet). Over a socket or plain TCP the answer is read here, and such states are put in the words of
//! Docker's API. Over TLS there is Docker, which has only those.

use std::path::PathBuf;

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::endpoint::Endpoint;

/// All containers; with the sizes of their writable layers if asked for.
pub(crate) async fn containers(
    api: &bollard::Docker,
    endpoint: &Endpoint,
    with_sizes: bool,
) -> Result<Vec<ContainerSummary>, Error> {
    if let Endpoint::Tls(..) = endpoint {
        let every = ListContainersOptionsBuilder::default().all(true).size(with_sizes).build();
        return api.list_containers(Some(every)).await;
    }
    let path = format!("/v{}/containers/json?all=true&size={with_sizes}", api.client_version());
    let mut told = get(endpoint, &path).await?;
    for container in told.as_array_mut().into_iter().flatten() {
        put_in_known_words(container.get_mut("State"));
    }
    typed(told)
}

/// Everything about one container, by its id or name.
pub(crate) async fn container(
    api: &bollard::Docker,
    endpoint: &Endpoint,
    name: &str,
) -> Result<ContainerInspectResponse, Error> {
    if let Endpoint::Tls(..) = endpoint {
        return api.inspect_container(name, None::<InspectContainerOptions>).await;
    }
    let mut told = get(endpoint, &format!("/v{}/containers/{name}/json", api.client_version())).await?;
    put_in_known_words(told.pointer_mut("/State/Status"));
    typed(told)
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

fn typed<T: DeserializeOwned>(told: Value) -> Result<T, Error> {
    serde_json::from_value(told).map_err(|err| Error::JsonSerdeError { err })
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<Value, Error> {
    match endpoint {
        Endpoint::Unix(paths) => {
            let there = paths.iter().find(|path| path.exists()).or(paths.first());
            get_over(UnixStream::connect(there.unwrap_or(&PathBuf::new())).await?, path).await
        }
        Endpoint::Tcp(address) | Endpoint::Tls(address, _) => {
            get_over(TcpStream::connect(address).await?, path).await
        }
    }
}

async fn get_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
) -> Result<Value, Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer; its errors show there.
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Full::<Bytes>::default())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        let refused: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        return Err(Error::DockerResponseServerError {
            status_code: status.as_u16(),
            message: refused.message,
        });
    }
    serde_json::from_slice(&body).map_err(|err| Error::JsonSerdeError { err })
}

/// How the API says no.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    message: String,
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
