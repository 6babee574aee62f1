//! An agent for SSH keys on this host, which a command of a build talks with through the session.

use std::path::Path;

use futures::stream;
use hyper::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::grpc::{Frames, Messages, Refusal, answer_with, refuse};
use super::protobuf::{bytes, message_of};

/// As much as BuildKit passes on at a time.
const CHUNK: usize = 32 << 10;

/// Passes on what both sides say, each part as the `data` of a `BytesMessage`, until one of them ends.
pub(super) async fn lead(agent: &Path, mut asked: Messages) -> Response<Frames> {
    let Ok(agent) = UnixStream::connect(agent).await else { return refuse(Refusal::Unavailable) };
    let (answers, mut questions) = agent.into_split();
    // It ends with the request, and so with the session at the latest.
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            if questions.write_all(bytes(&message, 1)).await.is_err() {
                break;
            }
        }
    });
    answer_with(stream::unfold(answers, |mut answers| async move {
        let mut part = vec![0; CHUNK];
        let length = answers.read(&mut part).await.ok().filter(|length| *length > 0)?;
        part.truncate(length);
        Some((message_of(&[(1, part)]), answers))
    }))
}
