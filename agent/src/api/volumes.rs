//! The routes of volumes: `/v1/volumes` and what is beneath.

use axum::extract::{Path as UrlPath, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use homeostat_reconciler::ResourceKey;
use homeostat_spec::Name;

use super::server::Answer;
use crate::service::{Service, VolumeListing};

pub(super) fn router() -> Router<Service> {
    Router::new().route("/v1/volumes", get(list)).route("/v1/volumes/{app}/{name}/remove", post(remove))
}

async fn list(State(service): State<Service>) -> Answer<Vec<VolumeListing>> {
    Ok(Json(service.volumes().await?))
}

async fn remove(State(service): State<Service>, UrlPath(key): UrlPath<(Name, Name)>) -> Answer<()> {
    Ok(Json(service.remove_volume(&ResourceKey::new(key.0, key.1)).await?))
}
