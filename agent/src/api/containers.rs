//! The routes of containers: `/v1/containers`, `/v1/apps` and what is beneath, `/v1/usage`.

use axum::extract::{Path as UrlPath, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use futures::stream::StreamExt as _;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{ContainerProcess, FileChange, LogQuery};
use homeostat_spec::Name;

use super::ApiError;
use super::images::archive;
use super::server::{Answer, json_lines};
use crate::service::{ContainerListing, Explanation, Inspection, Service, UsageReport};

pub(super) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/resolve/{*address}", get(resolve))
        .route("/v1/select/{*address}", get(select))
        .route("/v1/containers", get(list))
        .route("/v1/containers/{app}/{name}", get(inspect))
        .route("/v1/containers/{app}/{name}/why", get(why))
        .route("/v1/containers/{app}/{name}/logs", get(logs))
        .route("/v1/containers/{app}/{name}/processes", get(processes))
        .route("/v1/containers/{app}/{name}/changes", get(changes))
        .route("/v1/containers/{app}/{name}/export", get(export))
        .route("/v1/usage", get(usage))
        .route("/v1/apps/{app}/logs", get(app_logs))
}

async fn resolve(State(service): State<Service>, UrlPath(address): UrlPath<String>) -> Answer<ResourceKey> {
    Ok(Json(service.resolve(&address).await?))
}

async fn select(
    State(service): State<Service>,
    UrlPath(address): UrlPath<String>,
) -> Answer<Vec<ResourceKey>> {
    Ok(Json(service.select(&address).await?))
}

async fn list(State(service): State<Service>) -> Answer<Vec<ContainerListing>> {
    Ok(Json(service.containers().await?))
}

async fn inspect(State(service): State<Service>, UrlPath(key): UrlPath<(Name, Name)>) -> Answer<Inspection> {
    Ok(Json(service.inspect(&ResourceKey::new(key.0, key.1)).await?))
}

async fn why(State(service): State<Service>, UrlPath(key): UrlPath<(Name, Name)>) -> Answer<Explanation> {
    Ok(Json(service.why(&ResourceKey::new(key.0, key.1)).await?))
}

async fn logs(
    State(service): State<Service>,
    UrlPath(key): UrlPath<(Name, Name)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let lines = service.logs(&ResourceKey::new(key.0, key.1), &query);
    json_lines(lines.map(|line| line.map_err(ApiError::from)))
}

async fn processes(
    State(service): State<Service>,
    UrlPath(key): UrlPath<(Name, Name)>,
) -> Answer<Vec<ContainerProcess>> {
    Ok(Json(service.processes(&ResourceKey::new(key.0, key.1)).await?))
}

async fn changes(
    State(service): State<Service>,
    UrlPath(key): UrlPath<(Name, Name)>,
) -> Answer<Vec<FileChange>> {
    Ok(Json(service.changes(&ResourceKey::new(key.0, key.1)).await?))
}

async fn export(
    State(service): State<Service>,
    UrlPath(key): UrlPath<(Name, Name)>,
) -> Result<Response, ApiError> {
    Ok(archive(service.export(&ResourceKey::new(key.0, key.1)).await?))
}

async fn usage(State(service): State<Service>) -> Answer<UsageReport> {
    Ok(Json(service.usage().await?))
}

async fn app_logs(
    State(service): State<Service>,
    UrlPath(app): UrlPath<Name>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ApiError> {
    let lines = service.app_logs(&app, &query).await?;
    Ok(json_lines(lines.map(|line| line.map_err(ApiError::from))))
}
