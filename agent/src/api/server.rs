//! The server side: routes, the unix socket, the TCP listener for metrics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::{Stream, StreamExt};
use homeostat_reconciler::ports::{Checked, DiskUsage, Event, Pruned};
use homeostat_reconciler::{Desired, ErrorKind, Plan, PortError};
use homeostat_spec::Diagnostic;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixListener};

use super::ApiError;
use crate::controller::Command;
use crate::exposition::Exposition;
use crate::service::{Info, Service, Status};

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// `GET /v1/plan`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// What is to do.
    pub plan: Plan,
    /// What is wrong with the specs.
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct DryRun {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct Repair {
    #[serde(default)]
    repair: bool,
}

/// Every route of the socket.
pub(crate) fn router(service: Service, exposition: Arc<Exposition>) -> Router {
    let api = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/info", get(info))
        .route("/v1/plan", get(current_plan).post(plan_for))
        .route("/v1/sync", post(sync))
        .route("/v1/down", post(down))
        .route("/v1/events", get(events))
        .route("/v1/check", post(check))
        .route("/v1/prune", post(prune))
        .route("/v1/disk", get(disk))
        .merge(super::containers::router())
        .merge(super::by_hand::router())
        .merge(super::volumes::router())
        .merge(super::attach::router())
        .merge(super::images::router())
        .with_state(service);
    api.merge(observation_router(exposition))
}

/// The routes that are served on TCP: nothing there changes anything.
fn observation_router(exposition: Arc<Exposition>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(exposition)
}

/// Serves the API on a unix socket that root and its group can use, in place of an old one.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve_socket(
    path: &Path,
    service: Service,
    exposition: Arc<Exposition>,
) -> Result<(), PortError> {
    let unusable = |e: std::io::Error| {
        PortError::new(ErrorKind::Config, format!("the socket {} cannot be made", path.display()))
            .caused_by(e)
    };
    // Whoever holds the data directory's lock may replace a socket that a killed agent left.
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(unusable)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(unusable)?;
    let router = router(service, exposition);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// Serves `/metrics`, `/healthz` and `/readyz`. Returns the address, which has a port of the
/// system's choice if it was 0.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve_tcp(address: SocketAddr, exposition: Arc<Exposition>) -> Result<SocketAddr, PortError> {
    let unusable = |e: std::io::Error| {
        PortError::new(ErrorKind::Config, format!("cannot listen on {address}"))
            .caused_by(e)
            .with_hint("choose another address with --listen")
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    tokio::spawn(async move { axum::serve(listener, observation_router(exposition)).await });
    Ok(bound)
}

async fn status(State(service): State<Service>) -> Answer<Status> {
    Ok(Json(service.status().await?))
}

async fn info(State(service): State<Service>) -> Answer<Info> {
    Ok(Json(service.info().await?))
}

async fn current_plan(State(service): State<Service>) -> Answer<PlanAnswer> {
    let view = service.view().await?;
    let plan = service.plan(&view.desired).await?;
    Ok(Json(PlanAnswer { plan, diagnostics: view.diagnostics.as_ref().clone() }))
}

async fn plan_for(State(service): State<Service>, Json(desired): Json<Desired>) -> Answer<Plan> {
    Ok(Json(service.plan(&desired).await?))
}

async fn sync(State(service): State<Service>) -> Answer<Status> {
    if let Some(agent) = &service.agent {
        agent.sync().await?;
    }
    status(State(service)).await
}

async fn down(State(service): State<Service>) -> Answer<()> {
    let Some(agent) = &service.agent else {
        return Err(PortError::new(ErrorKind::User, "no agent runs here").into());
    };
    agent.tell(Command::Down).await?;
    Ok(Json(()))
}

async fn events(State(service): State<Service>, Query(query): Query<Limit>) -> Answer<Vec<Event>> {
    Ok(Json(service.events(query.limit.unwrap_or(usize::MAX))?))
}

async fn prune(State(service): State<Service>, Query(query): Query<DryRun>) -> Answer<Pruned> {
    Ok(Json(service.prune(query.dry_run).await?))
}

async fn disk(State(service): State<Service>) -> Answer<DiskUsage> {
    Ok(Json(service.disk_usage().await?))
}

async fn check(State(service): State<Service>, Query(query): Query<Repair>) -> Answer<Checked> {
    Ok(Json(service.check(query.repair).await?))
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> Response {
    ([(header::CONTENT_TYPE, homeostat_metrics::CONTENT_TYPE)], exposition.text().await).into_response()
}

async fn ready(State(exposition): State<Arc<Exposition>>) -> Response {
    match exposition.not_ready() {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

pub(super) fn json_lines<T: Serialize + 'static>(values: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(line)
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
