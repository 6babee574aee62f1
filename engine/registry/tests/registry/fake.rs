//! A registry inside the test: serves what it is given, and changes its answers as it is told.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::http::{Head, listen, read_head};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By lower-case name.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What `Content-Length` says, if not the truth.
    pub(crate) length: Option<usize>,
    /// After so many bytes of the body the connection is closed.
    pub(crate) breaks_after: Option<usize>,
    /// After so many bytes of the body nothing comes any more.
    pub(crate) stalls_after: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: Vec::new(), body, length: None, breaks_after: None, stalls_after: None }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Change = Box<dyn FnMut(&Request, &mut Reply) + Send>;

#[derive(Default)]
struct State {
    files: HashMap<String, (String, Vec<u8>)>,
    requests: Vec<Request>,
    change: Option<Change>,
}

/// Serves until the test's process ends.
pub(crate) struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let address = listen(&state, serve);
        Self { address, state }
    }

    /// Host and port, with which references begin.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn put(&self, path: &str, media_type: &str, content: &[u8]) {
        let file = (media_type.to_owned(), content.to_vec());
        self.state.lock().unwrap().files.insert(path.to_owned(), file);
    }

    /// Changes every answer from now on.
    pub(crate) fn change(&self, change: impl FnMut(&Request, &mut Reply) + Send + 'static) {
        self.state.lock().unwrap().change = Some(Box::new(change));
    }

    /// Answers truthfully again.
    pub(crate) fn behave(&self) {
        self.state.lock().unwrap().change = None;
    }

    /// The requests whose path has this in it, in their order.
    pub(crate) fn requests(&self, part: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let Some(request) = read(stream) else { return };
    let reply = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let mut reply = file(&state, &request);
        if let Some(change) = &mut state.change {
            change(&request, &mut reply);
        }
        reply
    };
    // A client that has heard enough hangs up.
    let _ = send(stream, &reply);
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let Head { method, path, headers } = read_head(&mut reader)?;
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body: String::from_utf8(body).unwrap(), at: Instant::now() })
}

fn file(state: &State, request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap();
    let Some((media_type, content)) = state.files.get(path) else { return Reply::new(404, "") };
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let start = range.and_then(|range| range.strip_suffix('-')).map(|start| start.parse::<usize>().unwrap());
    let reply = match start {
        Some(start) => Reply::new(206, &content[start..])
            .with("Content-Range", format!("bytes {start}-{}/{}", content.len() - 1, content.len())),
        None => Reply::new(200, content.clone()),
    };
    reply.with("Content-Type", media_type)
}

fn send(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let length = reply.length.unwrap_or(reply.body.len());
    let mut head =
        format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {length}\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = reply.breaks_after.or(reply.stalls_after).unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..end])?;
    if reply.stalls_after.is_some() {
        // Until the client gives up.
        stream.read_exact(&mut [0])?;
    }
    Ok(())
}
