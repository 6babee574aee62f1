//! What BuildKit asks whoever builds: the session beside a build, a small gRPC server on a connection that the engine has
//! taken over. It asks for credentials of registries, and whether the session still lives; everything else that could be
//! asked for is sent with the build.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::errors::Error;
use bytes::Bytes;
use futures::stream;
use homeostat_credentials::{Credentials, Login};
use http_body_util::{BodyExt as _, Empty, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::protobuf::{message_of, text};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::stream::send;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
/// `HealthCheckResponse` with the status `SERVING`.
const SERVING: [u8; 2] = [0x08, 1];
/// The host at which BuildKit asks Docker's own registry.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Where gRPC has its code, and two of them.
const STATUS: &str = "grpc-status";
const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";

/// A question is a name or two.
const LONGEST_QUESTION: usize = 64 << 10;
/// Each message has a byte and its length, in four, before it.
const PREFIX: usize = 5;

type Frames = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A session, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    task: JoinHandle<()>,
}

impl Session {
    /// Opens a session with the engine, at this version of its API.
    pub(super) async fn open(endpoint: &Endpoint, version: &str) -> Result<Self, Failure> {
        let failure = |error: Error| Failure::new(error, endpoint);
        let id = unique();
        let request = Request::post(format!("/v{version}/session"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "homeostat")
            .header("X-Docker-Expose-Session-Grpc-Method", HEALTH)
            .header("X-Docker-Expose-Session-Grpc-Method", CREDENTIALS)
            .body(Empty::<Bytes>::new())
            .map_err(|error| failure(error.into()))?;
        let answer = send(endpoint, request).await?;
        let connection = hyper::upgrade::on(answer).await.map_err(|error| failure(error.into()))?;
        let task = tokio::spawn(async move {
            let server = http2::Builder::new(TokioExecutor::new());
            // It ends with the build; a build that it fails tells so.
            let _ = server.serve_connection(connection, service_fn(answer_to)).await;
        });
        Ok(Self { id, task })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A name that no other session of the engine has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("homeostat-{}-{}-{number}", std::process::id(), Timestamp::now().as_nanosecond())
}

async fn answer_to(request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let method = request.uri().path().to_owned();
    let question = Limited::new(request.into_body(), LONGEST_QUESTION).collect().await;
    let question = question.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = question.get(PREFIX..).unwrap_or_default();
    Ok(match method.as_str() {
        HEALTH => answer(&SERVING),
        CREDENTIALS => answer(&credentials(text(message, 1)).await),
        _ => refusal(),
    })
}

/// `CredentialsResponse`; an empty one where there are none.
async fn credentials(host: String) -> Vec<u8> {
    let registry = if host == DOCKER_HUB { "docker.io".to_owned() } else { host };
    let found = tokio::task::spawn_blocking(move || homeostat_credentials::for_registry(&registry)).await;
    match found.ok().flatten().map(|Credentials { login, .. }| login) {
        Some(Login::Password { username, password }) => message_of(&[(1, &username), (2, &password)]),
        Some(Login::IdentityToken(token)) => message_of(&[(2, &token)]),
        None => Vec::new(),
    }
}

fn answer(message: &[u8]) -> Response<Frames> {
    let length = u32::try_from(message.len()).unwrap_or_default().to_be_bytes();
    let prefixed = Bytes::from([&[0], &length[..], message].concat());
    let mut status = HeaderMap::new();
    status.insert(STATUS, HeaderValue::from_static(OK));
    response(vec![Ok(Frame::data(prefixed)), Ok(Frame::trailers(status))])
}

fn refusal() -> Response<Frames> {
    let mut refusal = response(Vec::new());
    refusal.headers_mut().insert(STATUS, HeaderValue::from_static(UNIMPLEMENTED));
    refusal
}

fn response(frames: Vec<Result<Frame<Bytes>, Infallible>>) -> Response<Frames> {
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
