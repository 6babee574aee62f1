//! As much of gRPC as a session needs: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

/// Where gRPC has its code.
const STATUS: &str = "grpc-status";
const OK: HeaderValue = HeaderValue::from_static("0");

/// Each message has a byte, which is 0 unless it is compressed, and its length before it.
const PREFIX: usize = 5;

/// A question is a name or two, and what is passed on comes in parts of 32 KiB.
const LONGEST: usize = 64 << 10;

/// The body of an answer.
pub(super) type Frames = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    NotFound,
    Unimplemented,
    Unavailable,
}

impl From<Refusal> for HeaderValue {
    fn from(refusal: Refusal) -> Self {
        Self::from_static(match refusal {
            Refusal::NotFound => "5",
            Refusal::Unimplemented => "12",
            Refusal::Unavailable => "14",
        })
    }
}

/// The messages of a request.
pub(super) struct Messages {
    body: Incoming,
    begun: Vec<u8>,
}

impl Messages {
    pub(super) fn of(body: Incoming) -> Self {
        Self { body, begun: Vec::new() }
    }

    /// The next one, or nothing when there are no more or what comes is none.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((prefix, rest)) = self.begun.split_first_chunk::<PREFIX>() {
                let [compressed, length @ ..] = *prefix;
                let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
                if compressed != 0 || length > LONGEST {
                    return None;
                }
                if let Some(message) = rest.get(..length) {
                    let message = message.to_vec();
                    self.begun.drain(..PREFIX + length);
                    return Some(message);
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.begun.extend(frame.data_ref().into_iter().flatten());
        }
    }
}

/// An answer of one message.
pub(super) fn answer(message: Vec<u8>) -> Response<Frames> {
    answer_with(stream::iter([message]))
}

/// An answer of many, which come as they are had.
pub(super) fn answer_with(messages: impl Stream<Item = Vec<u8>> + Send + 'static) -> Response<Frames> {
    response(messages.map(|message| Frame::data(prefixed(&message))), OK)
}

pub(super) fn refuse(refusal: Refusal) -> Response<Frames> {
    response(stream::empty(), refusal.into())
}

/// The code comes last. One in the headers would have to be the end of the stream too, or it counts as none.
fn response(
    frames: impl Stream<Item = Frame<Bytes>> + Send + 'static,
    status: HeaderValue,
) -> Response<Frames> {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, status);
    let frames = frames.chain(stream::iter([Frame::trailers(trailers)]));
    let mut response = Response::new(StreamBody::new(frames.map(Ok).boxed()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn prefixed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or_default().to_be_bytes();
    Bytes::from([&[0], &length[..], message].concat())
}
