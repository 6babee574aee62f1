//! The routes of what is asked for by hand, beneath `/v1/containers/APP/NAME`.

use std::time::Duration;

use axum::extract::{Path as UrlPath, State};
use axum::routing::post;
use axum::{Json, Router};
use homeostat_reconciler::ports::AttachEnd;
use homeostat_reconciler::{ExitStatus, ResourceKey};
use homeostat_spec::Name;
use serde::{Deserialize, Serialize};

use super::server::Answer;
use crate::service::{NewContainer, Service};

/// How a container is stopped for `stop` and `restart`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StopRequest {
    /// Seconds before it is killed; as its spec says when absent.
    pub grace: Option<u64>,
}

/// What is sent by `kill`.
#[derive(Debug, Serialize, Deserialize)]
pub struct KillRequest {
    /// Name or number of the signal.
    pub signal: String,
}

/// How a container is removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveRequest {
    /// Also if it runs.
    pub force: bool,
}

type Key = UrlPath<(Name, Name)>;

pub(super) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/containers/{app}/{name}/create", post(create))
        .route("/v1/containers/{app}/{name}/start", post(start))
        .route("/v1/containers/{app}/{name}/restart", post(restart))
        .route("/v1/containers/{app}/{name}/stop", post(stop))
        .route("/v1/containers/{app}/{name}/pause", post(pause))
        .route("/v1/containers/{app}/{name}/unpause", post(unpause))
        .route("/v1/containers/{app}/{name}/kill", post(kill))
        .route("/v1/containers/{app}/{name}/wait", post(wait))
        .route("/v1/containers/{app}/{name}/remove", post(remove))
}

fn key(UrlPath((app, name)): Key) -> ResourceKey {
    ResourceKey::new(app, name)
}

fn grace(request: &StopRequest) -> Option<Duration> {
    request.grace.map(Duration::from_secs)
}

async fn create(
    State(service): State<Service>,
    path: Key,
    Json(new): Json<NewContainer>,
) -> Answer<Option<AttachEnd>> {
    Ok(Json(service.create(&key(path), new).await?))
}

async fn start(State(service): State<Service>, path: Key) -> Answer<()> {
    Ok(Json(service.start(&key(path)).await?))
}

async fn restart(State(service): State<Service>, path: Key, Json(request): Json<StopRequest>) -> Answer<()> {
    Ok(Json(service.restart(&key(path), grace(&request)).await?))
}

async fn stop(State(service): State<Service>, path: Key, Json(request): Json<StopRequest>) -> Answer<()> {
    Ok(Json(service.stop(&key(path), grace(&request)).await?))
}

async fn pause(State(service): State<Service>, path: Key) -> Answer<()> {
    Ok(Json(service.pause(&key(path)).await?))
}

async fn unpause(State(service): State<Service>, path: Key) -> Answer<()> {
    Ok(Json(service.unpause(&key(path)).await?))
}

async fn kill(State(service): State<Service>, path: Key, Json(request): Json<KillRequest>) -> Answer<()> {
    Ok(Json(service.kill(&key(path), &request.signal).await?))
}

async fn wait(State(service): State<Service>, path: Key) -> Answer<ExitStatus> {
    Ok(Json(service.wait(&key(path)).await?))
}

async fn remove(State(service): State<Service>, path: Key, Json(request): Json<RemoveRequest>) -> Answer<()> {
    Ok(Json(service.remove(&key(path), request.force).await?))
}
