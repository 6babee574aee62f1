//! Requests on connections of their own, for what bollard does not do: answers that it cannot read, and connections
//! that are taken over.

use std::error::Error as StdError;
use std::path::PathBuf;

use bollard::errors::Error;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::http::HeaderValue;
use hyper::rt::{Read, Write};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::{certificates, remote};

/// A connection to the engine.
pub(crate) trait Stream: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Stream for T {}

/// Sends a request, and gives the answer if it is a good one. The connection ends with it.
pub(crate) async fn send<B>(
    endpoint: &Endpoint,
    mut request: Request<B>,
) -> Result<Response<Incoming>, Failure>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let failure = |error: Error| Failure::new(error, endpoint);
    let stream = open(endpoint).await?;
    let handshake = http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(|error| failure(error.into()))?;
    // Its errors show in the answer.
    tokio::spawn(connection.with_upgrades());
    request.headers_mut().insert(HOST, host(endpoint));
    let answer = sender.send_request(request).await.map_err(|error| failure(error.into()))?;
    if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.map_err(|error| failure(error.into()))?.to_bytes();
    // A proxy before the engine may say no in its own way.
    let refused = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Refusal { message: String::from_utf8_lossy(&body).into_owned() });
    Err(Failure::Refused { code, message: refused.message.trim().to_owned() })
}

async fn open(endpoint: &Endpoint) -> Result<Box<dyn Stream>, Failure> {
    let opened = match endpoint {
        Endpoint::Unix(paths) => {
            let there = paths.iter().find(|path| path.exists()).or(paths.first());
            let stream = UnixStream::connect(there.unwrap_or(&PathBuf::new())).await;
            stream.map(|stream| Box::new(TokioIo::new(stream)) as Box<dyn Stream>)
        }
        Endpoint::Tcp(address) => remote::connect_tcp(address).await,
        Endpoint::Tls(address, directory) => {
            let trust = certificates::trust(directory).map_err(Failure::Certificates)?;
            remote::connect_tls(address, trust).await
        }
    };
    opened.map_err(|error| Failure::new(error.into(), endpoint))
}

fn host(endpoint: &Endpoint) -> HeaderValue {
    let name = match endpoint {
        Endpoint::Unix(_) => "localhost",
        Endpoint::Tcp(address) | Endpoint::Tls(address, _) => address,
    };
    HeaderValue::from_str(name).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

/// How the API says no.
#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
}
