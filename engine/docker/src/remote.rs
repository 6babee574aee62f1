//! The way to an engine over TCP, with TLS or without.

use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use futures::TryFutureExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;

use crate::connection::NO_LIMIT;

/// After so long without a word the kernel asks whether the other side is still there. One that lost its power says
/// nothing, and who follows its events would wait for ever.
const QUIET: Duration = Duration::from_secs(30);
/// Time between two such questions.
const PAUSE: Duration = Duration::from_secs(10);
/// So many of them without an answer end the connection.
const QUESTIONS: u32 = 3;

/// A client of the engine at `HOST:PORT`.
pub(crate) fn over_tcp(address: &str) -> Result<Docker, Error> {
    client(tcp(), format!("http://{address}"))
}

/// A client of the engine at `HOST:PORT` that speaks TLS.
pub(crate) fn over_tls(address: &str, trust: ClientConfig) -> Result<Docker, Error> {
    client(HttpsConnector::from((tcp(), trust)), format!("https://{address}"))
}

/// Asks the engine at `HOST:PORT` for what is at a path, with TLS.
pub(crate) async fn get_over_tls(
    address: &str,
    trust: ClientConfig,
    path: &str,
) -> Result<Response<Incoming>, Error> {
    let client = Client::builder(TokioExecutor::new()).build(HttpsConnector::from((tcp(), trust)));
    let request = Request::get(format!("https://{address}{path}")).body(Full::<Bytes>::default())?;
    Ok(client.request(request).await?)
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(QUIET));
    tcp.set_keepalive_interval(Some(PAUSE));
    tcp.set_keepalive_retries(Some(QUESTIONS));
    tcp
}

/// Every request has a connection of its own, as bollard's own clients do it: one that was idle may be dead.
fn client(connector: impl Connect + Clone + Send + Sync + 'static, url: String) -> Result<Docker, Error> {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    let send = move |request: BollardRequest| client.request(request).map_err(Error::from);
    Docker::connect_with_custom_transport(send, Some(url), NO_LIMIT, API_DEFAULT_VERSION)
}
