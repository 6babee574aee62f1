//! The routes of images: `/v1/build`, `/v1/images` and what is beneath.

use std::convert::Infallible;
use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::StreamExt as _;
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{
    BuildRequest, ImageRemoval, LoadedImage, Progress, ProgressStep, SaveRequest, SavedArchive,
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::ApiError;
use super::server::{Answer, json_lines};
use crate::service::{ImageInspection, ImageListing, Service};

/// Lines of a stream that wait for a slow reader.
const STREAM_BUFFER: usize = 256;

/// The trailer that says why an answer is not whole: an [`ApiError`] as JSON.
pub(super) const FAILED: &str = "homeostat-error";

/// Pieces of an archive that wait for a slow reader.
const PIECES_AHEAD: usize = 8;

/// A line of the answer to what takes a while: builds, pulls, pushes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkEvent {
    /// A step began.
    Step(ProgressStep),
    /// The step with this number was taken from the cache.
    Cached(usize),
    /// The cache did not know the step with this number: it is done.
    Missed {
        /// Which.
        step: usize,
        /// Why.
        cause: String,
    },
    /// A line of output.
    Output {
        /// The number of the step that it is of, if it is of one.
        step: Option<usize>,
        /// The line.
        line: String,
    },
    /// It is done: the image's id, or the digest in the registry.
    Done(String),
    /// It failed.
    Error(ApiError),
}

/// Which image is meant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reference {
    /// Its reference, or what else it is called.
    pub name: String,
}

/// `POST /v1/images/tag`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tag {
    /// What the image is called.
    pub name: String,
    /// The reference that it gets.
    pub reference: String,
}

pub(super) fn router() -> Router<Service> {
    Router::new()
        .route("/v1/build", post(build))
        .route("/v1/images", get(images))
        .route("/v1/images/inspect", post(inspect))
        .route("/v1/images/tag", post(tag))
        .route("/v1/images/remove", post(remove))
        .route("/v1/images/pull", post(pull))
        .route("/v1/images/push", post(push))
        .route("/v1/images/save", post(save))
        .route("/v1/images/load", post(load))
}

async fn images(State(service): State<Service>) -> Answer<Vec<ImageListing>> {
    Ok(Json(service.images().await?))
}

async fn inspect(State(service): State<Service>, Json(image): Json<Reference>) -> Answer<ImageInspection> {
    Ok(Json(service.inspect_image(&image.name).await?))
}

async fn tag(State(service): State<Service>, Json(tag): Json<Tag>) -> Answer<()> {
    Ok(Json(service.tag_image(&tag.name, &tag.reference).await?))
}

async fn remove(State(service): State<Service>, Json(image): Json<Reference>) -> Answer<ImageRemoval> {
    Ok(Json(service.delete_image(&image.name).await?))
}

async fn build(State(service): State<Service>, Json(request): Json<BuildRequest>) -> Response {
    work(|progress| async move { service.build(&request, &progress).await })
}

async fn pull(State(service): State<Service>, Json(image): Json<Reference>) -> Response {
    work(|progress| async move { service.pull_image(&image.name, &progress).await })
}

async fn push(State(service): State<Service>, Json(image): Json<Reference>) -> Response {
    work(|progress| async move { service.push_image(&image.name, &progress).await })
}

async fn save(
    State(service): State<Service>,
    Json(request): Json<SaveRequest>,
) -> Result<Response, ApiError> {
    Ok(archive(service.save_images(&request).await?))
}

/// An answer that is an archive. What goes wrong on its way is told at its end.
pub(super) fn archive(archive: SavedArchive) -> Response {
    let frames = archive.map(|piece| {
        Ok::<_, Infallible>(match piece {
            Ok(piece) => Frame::data(piece),
            Err(error) => Frame::trailers(failed(&error.into())),
        })
    });
    let headers = [(header::CONTENT_TYPE, "application/x-tar"), (header::TRAILER, FAILED)];
    (headers, Body::new(StreamBody::new(frames))).into_response()
}

/// What an answer ends with that has failed on its way.
fn failed(error: &ApiError) -> HeaderMap {
    let value = serde_json::to_vec(error).ok().and_then(|text| HeaderValue::from_bytes(&text).ok());
    value.into_iter().map(|value| (header::HeaderName::from_static(FAILED), value)).collect()
}

async fn load(State(service): State<Service>, body: Body) -> Answer<Vec<LoadedImage>> {
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    // All that is sent is taken in, also what nobody wants any more: a client that still sends does not hear the answer.
    let taking_in = tokio::spawn(async move {
        let mut body = body.into_data_stream();
        while let Some(piece) = body.next().await {
            let is_end = piece.is_err();
            let _ = sender.send(piece.map_err(io::Error::other)).await;
            if is_end {
                break;
            }
        }
    });
    let pieces = futures::stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let loaded = service.load_images(pieces.boxed()).await;
    let _ = taking_in.await;
    Ok(Json(loaded?))
}

/// Does what takes a while, and tells how it goes on.
fn work<F>(begin: impl FnOnce(ChannelProgress) -> F) -> Response
where
    F: Future<Output = Result<String, PortError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(STREAM_BUFFER);
    let work = begin(ChannelProgress { sender: sender.clone() });
    tokio::spawn(async move {
        let end = match work.await {
            Ok(result) => WorkEvent::Done(result),
            Err(error) => WorkEvent::Error(error.into()),
        };
        // Nobody listens any more: it is done all the same.
        let _ = sender.send(end).await;
    });
    let events =
        futures::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    json_lines(events)
}

/// Sends progress to the client; what a slow client cannot take in is left out.
struct ChannelProgress {
    sender: mpsc::Sender<WorkEvent>,
}

impl Progress for ChannelProgress {
    fn step(&self, step: &ProgressStep) {
        let _ = self.sender.try_send(WorkEvent::Step(step.clone()));
    }

    fn cached(&self, step: usize) {
        let _ = self.sender.try_send(WorkEvent::Cached(step));
    }

    fn missed(&self, step: usize, cause: &str) {
        let _ = self.sender.try_send(WorkEvent::Missed { step, cause: cause.to_owned() });
    }

    fn output(&self, step: Option<usize>, line: &str) {
        let _ = self.sender.try_send(WorkEvent::Output { step, line: line.to_owned() });
    }
}
