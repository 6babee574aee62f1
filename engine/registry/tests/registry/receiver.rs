//! A registry inside the test that takes what it is sent, and goes wrong as it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use homeostat_image::Digest;

use crate::http::{Head, listen, read_head};

/// What goes wrong.
pub(crate) enum Fault {
    /// Another answer, with these headers; the request has no effect.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// The connection breaks after so many bytes of the body, which have arrived.
    Break(usize),
    /// The connection breaks before the answer; the request has its effect.
    Mute,
    /// The request has its effect, and the answer this `Docker-Content-Digest`.
    Digest(String),
}

type Plan = Box<dyn FnMut(&Head) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    blobs: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<usize, Vec<u8>>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    requests: Vec<Head>,
    plan: Option<Plan>,
}

/// Serves until the test's process ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let address = listen(&state, |stream, state| {
            // A client that has heard enough hangs up.
            let _ = serve(stream, state);
        });
        Self { address, state }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Goes wrong where this says so.
    pub(crate) fn plan(&self, plan: impl FnMut(&Head) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().plan = Some(Box::new(plan));
    }

    /// Goes wrong once, at the first request with this method.
    pub(crate) fn once(&self, method: &'static str, fault: Fault) {
        let mut fault = Some(fault);
        self.plan(move |head| if head.method == method { fault.take() } else { None });
    }

    pub(crate) fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().blobs.get(digest).cloned()
    }

    /// The media type and text of a manifest, by its tag.
    pub(crate) fn manifest(&self, tag: &str) -> Option<(String, Vec<u8>)> {
        self.state.lock().unwrap().manifests.get(tag).cloned()
    }

    /// The requests with this method.
    pub(crate) fn requests(&self, method: &str) -> Vec<Head> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|head| head.method == method).cloned().collect()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?;
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests.push(head.clone());
        state.plan.as_mut().and_then(|plan| plan(&head))
    };
    let length: usize = head.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let taken = match fault {
        Some(Fault::Break(after)) => after.min(length),
        _ => length,
    };
    let mut body = vec![0; taken];
    if !matches!(fault, Some(Fault::Answer(..))) {
        reader.read_exact(&mut body).ok()?;
    }
    let answer = match fault {
        Some(Fault::Answer(status, headers, text)) => Answer { status, headers, body: text },
        Some(Fault::Break(_)) => {
            take(&head, &body, &mut state.lock().unwrap());
            return None;
        }
        Some(Fault::Mute) => {
            answer(&head, &body, &mut state.lock().unwrap());
            return None;
        }
        Some(Fault::Digest(digest)) => {
            let mut answer = answer(&head, &body, &mut state.lock().unwrap());
            answer.headers.push(("Docker-Content-Digest", digest));
            answer
        }
        None => answer(&head, &body, &mut state.lock().unwrap()),
    };
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    // 204 has no body, and no length.
    if answer.status != 204 {
        let _ = write!(text, "Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let mut stream = stream;
    stream.write_all(format!("{text}\r\n{}", answer.body).as_bytes()).ok()?;
    // What is still on its way would break the connection before the answer is read.
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    std::io::copy(&mut reader, &mut std::io::sink()).ok()?;
    Some(())
}

/// Adds to an upload what has come of it.
fn take(head: &Head, body: &[u8], state: &mut State) -> Option<usize> {
    let number: usize = head.path.split('?').next()?.rsplit('/').next()?.parse().ok()?;
    let upload = state.uploads.get_mut(&number)?;
    if let Some(range) = head.headers.get("content-range") {
        assert_eq!(range.split('-').next().unwrap(), upload.len().to_string(), "it goes on where it broke");
    }
    upload.extend_from_slice(body);
    Some(number)
}

fn answer(head: &Head, body: &[u8], state: &mut State) -> Answer {
    let path = head.path.split('?').next().unwrap();
    let last = path.rsplit('/').next().unwrap().to_owned();
    let status = |status| Answer { status, headers: Vec::new(), body: "" };
    let query = |name: &str| {
        let url = fields_of(&head.path);
        url.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    };
    let place = |number: usize| ("Location", format!("/v2/app/blobs/uploads/{number}"));
    match (head.method.as_str(), path.contains("/uploads/")) {
        ("HEAD", _) => status(if state.blobs.contains_key(&last) { 200 } else { 404 }),
        ("POST", true) => {
            let number = state.uploads.len();
            state.uploads.insert(number, Vec::new());
            Answer { headers: vec![place(number)], ..status(202) }
        }
        ("GET", true) => match last.parse().ok().and_then(|number: usize| state.uploads.get(&number)) {
            Some(upload) => {
                let range = format!("0-{}", upload.len().saturating_sub(1));
                Answer { headers: vec![("Range", range)], ..status(204) }
            }
            None => status(404),
        },
        ("PATCH", true) => match take(head, body, state) {
            Some(number) => Answer { headers: vec![place(number)], ..status(202) },
            None => status(404),
        },
        ("PUT", true) => {
            let Some(number) = take(head, body, state) else { return status(404) };
            let content = state.uploads.insert(number, Vec::new()).unwrap();
            let digest = query("digest").unwrap();
            if Digest::of(&content).as_str() != digest {
                return status(400);
            }
            state.blobs.insert(digest, content);
            status(201)
        }
        ("PUT", false) => {
            let media_type = head.headers["content-type"].clone();
            state.manifests.insert(last, (media_type, body.to_vec()));
            status(201)
        }
        _ => status(405),
    }
}

/// The fields of a URL's query.
fn fields_of(path: &str) -> Vec<(String, String)> {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(key, value)| (key.to_owned(), value.replace("%3A", ":").replace("%2F", "/"))).collect()
}
