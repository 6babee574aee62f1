//! Asking the engine to give up a connection.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::stream::send;

/// Sends a request whose answer is the connection itself.
pub(super) async fn take_over(
    endpoint: &Endpoint,
    path: &str,
    body: Vec<u8>,
) -> Result<TokioIo<Upgraded>, Failure> {
    let request = Request::post(path)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::new(error.into(), endpoint))?;
    let answer = send(endpoint, request).await?;
    let upgraded = hyper::upgrade::on(answer).await;
    Ok(TokioIo::new(upgraded.map_err(|error| Failure::new(error.into(), endpoint))?))
}
