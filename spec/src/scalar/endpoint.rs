//! What a health check connects to.

use super::Scalar;
use crate::problem::Problem;

/// `http://:PORT/PATH` on the container's own address.
pub(crate) struct HttpEndpoint {
    pub(crate) port: u16,
    /// Path and query, beginning with `/`.
    pub(crate) path: String,
}

impl Scalar for HttpEndpoint {
    const FORMAT: &'static str = "http-endpoint";
    const EXAMPLES: &'static [&'static str] = &["http://:8080/healthz"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let hint = "write `http://:PORT/PATH`, as `http://:8080/healthz`";
        let bad = || Problem::new(format!("{text:?} is no HTTP endpoint")).hint(hint);
        if text.starts_with("https://") {
            return Err(Problem::new("a health check speaks plain HTTP only")
                .hint("use `command` to run a client that speaks TLS inside the container"));
        }
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !authority.starts_with(':') {
            return Err(Problem::new("a health check has no host: it asks the container itself").hint(hint));
        }
        // What RFC 3986 allows in a path and query, so that the request line cannot be broken up.
        if path.contains(|c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}#".contains(c)) {
            return Err(Problem::new(format!("the path {path:?} has characters that a URL cannot have"))
                .hint("percent-encode them, as `%20` for a space"));
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { port: parse_port(&authority[1..])?, path: path.to_owned() })
    }
}

/// `:PORT` on the container's own address.
pub(crate) struct TcpEndpoint(pub(crate) u16);

impl Scalar for TcpEndpoint {
    const FORMAT: &'static str = "tcp-endpoint";
    const EXAMPLES: &'static [&'static str] = &[":5432"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let port = text.strip_prefix(':').ok_or_else(|| {
            Problem::new(format!("{text:?} is no TCP endpoint")).hint("write `:PORT`, as `:5432`")
        })?;
        Ok(Self(parse_port(port)?))
    }
}

/// A port number from 1 to 65535.
pub(super) fn parse_port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or_else(|| {
        Problem::new(format!("{text:?} is no port")).hint("a port is a number from 1 to 65535")
    })
}
