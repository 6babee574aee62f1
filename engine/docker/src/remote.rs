//! The way to an engine over TCP, with TLS or without.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures::TryFutureExt as _;
use hyper::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use tower_service::Service;

use crate::connection::NO_LIMIT;
use crate::stream::Stream;

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

/// A connection to the engine at `HOST:PORT`.
pub(crate) async fn connect_tcp(address: &str) -> io::Result<Box<dyn Stream>> {
    connect(tcp(), format!("http://{address}")).await
}

/// A connection to the engine at `HOST:PORT` that speaks TLS.
pub(crate) async fn connect_tls(address: &str, trust: ClientConfig) -> io::Result<Box<dyn Stream>> {
    connect(HttpsConnector::from((tcp(), trust)), format!("https://{address}")).await
}

async fn connect<C>(mut connector: C, url: String) -> io::Result<Box<dyn Stream>>
where
    C: Service<Uri>,
    C::Response: Stream + 'static,
    C::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let url = url.parse().map_err(io::Error::other)?;
    poll_fn(|context| connector.poll_ready(context)).await.map_err(io::Error::other)?;
    Ok(Box::new(connector.call(url).await.map_err(io::Error::other)?))
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
