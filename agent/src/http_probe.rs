//! HTTP and TCP probes.

use std::net::Ipv4Addr;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Connects to a port.
pub(crate) async fn connect(address: Ipv4Addr, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((address, port)).await.map_err(|error| format!("{address}:{port}: {error}"))
}

/// Fetches `path`; statuses from 200 to 399 are success, as for Kubernetes' `httpGet`. Redirects are not followed.
pub(crate) async fn get(address: Ipv4Addr, port: u16, path: &str) -> Result<(), String> {
    let stream = connect(address, port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::get(path)
        .header("host", format!("{address}:{port}"))
        .header("user-agent", concat!("homeostat/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The connection does the work of the exchange; it ends with the sender. The answer's body is not read.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200..=399 => Ok(()),
        status => Err(format!("status {status}")),
    }
}
