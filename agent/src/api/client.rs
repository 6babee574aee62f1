//! The client side, over the agent's socket or inside of this process.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::http::{Method, StatusCode, request};
use futures::stream::{self, BoxStream, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use homeostat_reconciler::ports::Attachment;

use super::ApiError;
use super::attach::{PROTOCOL, TERMINAL};
use super::images::FAILED;
use super::server::router;
use crate::exposition::Exposition;
use crate::service::Service;

/// What is sent with a request.
type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// Speaks the API of [`api`](crate::api).
pub struct Client {
    sender: SendRequest<RequestBody>,
}

/// A request got no answer, or an error.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The agent answered with an error.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The connection to the agent failed.
    #[error("the connection to the agent failed")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The agent's answer is not understood.
    #[error("the agent's answer is not understood; is it of another version?")]
    Answer(#[source] serde_json::Error),
}

impl Client {
    /// Connects to the agent's socket. `None` when no agent listens there.
    ///
    /// # Errors
    /// When the socket is there and cannot be used.
    pub async fn connect(socket: &Path) -> Result<Option<Self>, ClientError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        match UnixStream::connect(socket).await {
            Ok(stream) => Self::over(stream).await.map(Some),
            Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
            Err(error) => Err(ClientError::Connection(error.into())),
        }
    }

    /// Serves the API inside of this process, without a socket.
    ///
    /// # Errors
    /// None that is expected.
    pub async fn in_process(service: Service) -> Result<Self, ClientError> {
        let metrics = homeostat_metrics::Metrics::new(env!("CARGO_PKG_VERSION"));
        let exposition = Arc::new(Exposition::new(service.clone(), metrics));
        let router = router(service, exposition);
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // An error here shows as an error of the client.
            let connection = connection.serve_connection(TokioIo::new(far), TowerToHyperService::new(router));
            let _ = connection.with_upgrades().await;
        });
        Self::over(near).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ClientError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection.with_upgrades());
        Ok(Self { sender })
    }

    /// `GET`s a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        read(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// `POST`s a value and returns the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Answer)?;
        read(self.send(Method::POST, path, body.into()).await?).await
    }

    /// `GET`s a stream of values, one a line.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_lines<T: DeserializeOwned + 'static>(
        &mut self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<T, ClientError>>, ClientError> {
        Ok(lines(self.send(Method::GET, path, Bytes::new()).await?))
    }

    /// `POST`s a value and returns the stream of values of the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post_lines<T: DeserializeOwned + 'static>(
        &mut self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<BoxStream<'static, Result<T, ClientError>>, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Answer)?;
        Ok(lines(self.send(Method::POST, path, body.into()).await?))
    }

    /// `POST`s a value and returns the bytes of the answer as they come. What goes wrong meanwhile is the last item.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post_for_bytes(
        &mut self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<BoxStream<'static, Result<Bytes, ClientError>>, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Answer)?;
        Ok(bytes(self.send(Method::POST, path, body.into()).await?))
    }

    /// `GET`s bytes as they come. What goes wrong meanwhile is the last item.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_bytes(
        &mut self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ClientError>>, ClientError> {
        Ok(bytes(self.send(Method::GET, path, Bytes::new()).await?))
    }

    /// `POST`s bytes as they come and returns the answer.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post_bytes<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<T, ClientError> {
        let body = StreamBody::new(TryStreamExt::map_ok(body, Frame::data));
        read(self.send_body(Method::POST, path, BodyExt::boxed_unsync(body)).await?).await
    }

    /// `POST`s a value and turns the connection into an attachment. Nothing else can be asked over it then.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn attach(
        mut self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<Attachment, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Answer)?;
        let body = BodyExt::boxed_unsync(Full::new(Bytes::from(body)).map_err(|never| match never {}));
        let request = request(Method::POST, path)
            .header("connection", "upgrade")
            .header("upgrade", PROTOCOL)
            .body(body)
            .map_err(|error| ClientError::Connection(error.into()))?;
        self.sender.ready().await.map_err(broken)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::Api(read(response.into_body()).await?));
        }
        let terminal = response.headers().get(TERMINAL).is_some_and(|value| value == "true");
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        Ok(homeostat_attach::connect(TokioIo::new(upgraded), terminal))
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
        let body = Full::new(body).map_err(|never| match never {});
        self.send_body(method, path, BodyExt::boxed_unsync(body)).await
    }

    async fn send_body(
        &mut self,
        method: Method,
        path: &str,
        body: RequestBody,
    ) -> Result<Incoming, ClientError> {
        let request = request(method, path)
            .header("te", "trailers")
            .body(body)
            .map_err(|error| ClientError::Connection(error.into()))?;
        self.sender.ready().await.map_err(broken)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(ClientError::Api(read(response.into_body()).await?))
    }
}

fn request(method: Method, path: &str) -> request::Builder {
    let builder = Request::builder().method(method).uri(path);
    builder.header("host", "homeostat").header("content-type", "application/json")
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, ClientError> {
    let bytes = body.collect().await.map_err(broken)?.to_bytes();
    serde_json::from_slice(&bytes).map_err(ClientError::Answer)
}

fn broken(error: hyper::Error) -> ClientError {
    ClientError::Connection(error.into())
}

/// The bytes of a body. One that was begun can only say at its end what went wrong.
fn bytes(body: Incoming) -> BoxStream<'static, Result<Bytes, ClientError>> {
    let frames = Box::pin(TryStreamExt::map_err(BodyStream::new(body), broken));
    let pieces = stream::try_unfold(frames, |mut frames| async move {
        let Some(frame) = frames.try_next().await? else { return Ok(None) };
        let trailers = match frame.into_data() {
            Ok(data) => return Ok(Some((data, frames))),
            Err(other) => other.into_trailers().unwrap_or_default(),
        };
        let failed = trailers.get(FAILED).and_then(|error| serde_json::from_slice(error.as_bytes()).ok());
        failed.map_or(Ok(None), |error| Err(ClientError::Api(error)))
    });
    Box::pin(pieces)
}

/// The JSON values of a body, one a line.
fn lines<T: DeserializeOwned + 'static>(body: Incoming) -> BoxStream<'static, Result<T, ClientError>> {
    let frames = Box::pin(TryStreamExt::map_err(BodyStream::new(body), broken));
    let values =
        stream::try_unfold((frames, Vec::new()), |(mut frames, mut rest): (_, Vec<u8>)| async move {
            loop {
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let value = serde_json::from_slice(&line).map_err(ClientError::Answer)?;
                    return Ok(Some((value, (frames, rest))));
                }
                match frames.try_next().await? {
                    Some(frame) => rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    None => return Ok(None),
                }
            }
        });
    Box::pin(values)
}
