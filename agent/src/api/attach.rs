//! The routes of those who are connected to containers. The connection of the request becomes that to the program: HTTP's
//! `Upgrade`, then frames of [`homeostat_attach`].

use axum::body::Body;
use axum::extract::{FromRequest as _, Path as UrlPath, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use futures::future::BoxFuture;
use homeostat_reconciler::ports::{AttachEnd, Attachment};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use homeostat_spec::Name;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::server::Answer;
use crate::service::Service;

/// What the connection becomes.
pub(super) const PROTOCOL: &str = "homeostat-attach";

/// Whether the program has a terminal.
pub(super) const TERMINAL: &str = "homeostat-terminal";

type Key = UrlPath<(Name, Name)>;

pub(super) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/containers/{app}/{name}/attach", post(attach))
        .route("/v1/containers/{app}/{name}/start-attached", post(start_attached))
        .route("/v1/containers/{app}/{name}/exec", post(exec))
        .route("/v1/containers/{app}/{name}/exec-detached", post(exec_detached))
}

async fn attach(State(service): State<Service>, key: Key, request: Request) -> Result<Response, ApiError> {
    upgrade(request, |request| Box::pin(async move { service.engine.attach(&resource(key), &request).await }))
        .await
}

async fn start_attached(
    State(service): State<Service>,
    key: Key,
    request: Request,
) -> Result<Response, ApiError> {
    upgrade(request, |request| {
        Box::pin(async move { service.start_attached(&resource(key), &request).await })
    })
    .await
}

async fn exec(State(service): State<Service>, key: Key, request: Request) -> Result<Response, ApiError> {
    upgrade(request, |request| {
        Box::pin(async move { service.engine.exec_attached(&resource(key), &request).await })
    })
    .await
}

async fn exec_detached(
    State(service): State<Service>,
    key: Key,
    request: Request,
) -> Answer<Option<AttachEnd>> {
    let request = body(request).await?;
    Ok(Json(service.engine.exec_detached(&resource(key), &request).await?))
}

fn resource(key: Key) -> ResourceKey {
    let UrlPath((app, name)) = key;
    ResourceKey::new(app, name)
}

/// Connects whoever asks. What goes on afterwards holds nothing but the two ends of it.
async fn upgrade<T: DeserializeOwned>(
    mut request: Request,
    connect: impl FnOnce(T) -> BoxFuture<'static, Result<Attachment, PortError>>,
) -> Result<Response, ApiError> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| {
        PortError::new(ErrorKind::User, format!("ask for an upgrade of the connection to {PROTOCOL}"))
    })?;
    let attachment = connect(body(request).await?).await?;
    let terminal = attachment.terminal;
    tokio::spawn(async move {
        // One who is gone before the answer has come is one who is gone.
        if let Ok(upgraded) = upgrade.await {
            homeostat_attach::serve(TokioIo::new(upgraded), attachment).await;
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .header(TERMINAL, if terminal { "true" } else { "false" })
        .body(Body::empty())
        .map_err(|error| PortError::new(ErrorKind::Internal, "cannot answer").caused_by(error).into())
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let read = Json::<T>::from_request(request, &()).await;
    let Json(value) = read.map_err(|error| PortError::new(ErrorKind::User, error.body_text()))?;
    Ok(value)
}
