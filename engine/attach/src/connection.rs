//! Attachments over sockets.

use std::io;

use futures::{SinkExt as _, StreamExt as _, sink, stream};
use homeostat_reconciler::ports::{AttachInput, AttachOutput, AttachRequest, Attachment};
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::{Decoder, Frame, FrameError};

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// A monitor could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket failed.
    #[error("the connection to the container's monitor failed")]
    Io(#[from] io::Error),
    /// It does not speak as expected.
    #[error("the container's monitor is not understood")]
    Frame(#[from] FrameError),
    /// It refused, and why.
    #[error("{0}")]
    Refused(String),
    /// It ended instead of answering: the container has ended.
    #[error("the container ends")]
    Ended,
}

/// Asks a monitor on its socket, and returns once it has answered.
///
/// # Errors
/// See [`ConnectError`].
pub async fn open<S>(
    mut socket: S,
    request: &AttachRequest,
    terminal: bool,
) -> Result<Attachment, ConnectError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    socket.write_all(&Frame::Request(request.clone()).to_bytes()).await?;
    let mut frames = Frames::new(socket);
    match frames.next().await? {
        Some(Frame::Ready) => {}
        Some(Frame::CutOff(reason)) => return Err(ConnectError::Refused(reason)),
        Some(_) => return Err(FrameError::Malformed(0).into()),
        None => return Err(ConnectError::Ended),
    }
    let Frames { socket, decoder, .. } = frames;
    Ok(connected(socket, decoder, terminal))
}

/// Makes an attachment of a socket over which frames come.
pub fn connect(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, terminal: bool) -> Attachment {
    connected(socket, Decoder::default(), terminal)
}

fn connected<S>(socket: S, decoder: Decoder, terminal: bool) -> Attachment
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = tokio::io::split(socket);
    let input = sink::unfold(writer, |mut writer: WriteHalf<S>, input: AttachInput| async move {
        let bytes = Frame::Input(input).to_bytes();
        writer.write_all(&bytes).await.map_err(|error| broken(error.into()))?;
        writer.flush().await.map_err(|error| broken(error.into()))?;
        Ok(writer)
    });
    let frames = Some(Frames { socket: reader, decoder, chunk: vec![0; CHUNK] });
    let output = stream::unfold(frames, |frames: Option<Frames<ReadHalf<S>>>| async move {
        let mut frames = frames?;
        match frames.output().await {
            Ok(None) => None,
            Ok(Some(AttachOutput::End(end))) => Some((Ok(AttachOutput::End(end)), None)),
            Ok(Some(output)) => Some((Ok(output), Some(frames))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Attachment { terminal, input: Box::pin(input), output: output.boxed() }
}

/// Passes an attachment on to a socket, until one of them ends.
pub async fn serve(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, attachment: Attachment) {
    let Attachment { mut input, mut output, .. } = attachment;
    let (reader, mut writer) = tokio::io::split(socket);
    let to_program = async move {
        let mut frames = Frames::new(reader);
        while let Ok(Some(Frame::Input(item))) = frames.next().await {
            let last = item == AttachInput::Detach;
            if input.send(item).await.is_err() {
                // The program does not take any more; its end is still to come.
                std::future::pending::<()>().await;
            }
            if last {
                break;
            }
        }
    };
    let from_program = async move {
        while let Some(item) = output.next().await {
            let frame = match item {
                Ok(output) => Frame::Output(output),
                Err(error) => Frame::CutOff(error.to_string()),
            };
            if writer.write_all(&frame.to_bytes()).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        let _ = writer.shutdown().await;
    };
    // Each goes on by itself: both may be full at once.
    tokio::select! {
        () = to_program => {}
        () = from_program => {}
    }
}

/// The frames that come over a socket.
struct Frames<S> {
    socket: S,
    decoder: Decoder,
    /// What is read at once.
    chunk: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    fn new(socket: S) -> Self {
        Self { socket, decoder: Decoder::default(), chunk: vec![0; CHUNK] }
    }

    /// `None` at the end of the connection.
    async fn next(&mut self) -> Result<Option<Frame>, ConnectError> {
        loop {
            if let Some(frame) = self.decoder.take()? {
                return Ok(Some(frame));
            }
            match self.socket.read(&mut self.chunk).await? {
                0 => return Ok(None),
                length => self.decoder.push(&self.chunk[..length]),
            }
        }
    }

    /// What the program writes next.
    async fn output(&mut self) -> Result<Option<AttachOutput>, PortError> {
        loop {
            match self.next().await.map_err(broken)? {
                None => return Ok(None),
                Some(Frame::Output(output)) => return Ok(Some(output)),
                Some(Frame::CutOff(reason)) => return Err(PortError::new(ErrorKind::Transient, reason)),
                // One who was there before the program is told that it is heard.
                Some(Frame::Ready | Frame::Request(_) | Frame::Input(_)) => {}
            }
        }
    }
}

fn broken(error: ConnectError) -> PortError {
    PortError::new(ErrorKind::Transient, "the connection to the program is broken").caused_by(error)
}
