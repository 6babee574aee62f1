//! One who is connected to a program: what is sent goes to the engine, what the program writes comes from it, each by
//! itself, until one of them is over.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::sink;
use homeostat_reconciler::ports::{AttachEnd, AttachInput, AttachOutput, Attachment, TerminalSize};
use homeostat_reconciler::{ErrorKind, PortError};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::frames::Frames;
use super::outbox::{Outbox, Over};

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// More is not kept of what the engine says of a program that could not be run, in bytes.
const REFUSAL: usize = 4 << 10;

type Connection = TokioIo<Upgraded>;

/// What somebody is connected to, as the rest of the engine's API reaches it.
#[async_trait]
pub(super) trait Program: Send + Sync + 'static {
    async fn resize(&self, size: TerminalSize);

    async fn signal(&self, number: i32);

    /// Whether this, which came first, is not the program's but the engine's word that it could not be run.
    async fn is_refusal(&self, first: &[u8]) -> bool;

    /// Waits until it has ended, and says how.
    async fn end(&self) -> Result<AttachEnd, PortError>;

    /// Learns what it takes to end it.
    async fn begun(&self);

    /// Nobody is there any more, and nobody has said that it goes on. Does not wait: this process may be about to end.
    fn abandon(&self);
}

/// How one is connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The program has a terminal.
    pub(super) terminal: bool,
    /// What is sent is passed on.
    pub(super) stdin: bool,
    /// The program is for this connection alone, and waits for whoever is there.
    pub(super) owned: bool,
    /// The end of what is sent is that of the program's input.
    pub(super) ends_input: bool,
}

/// Connects to a program.
pub(super) fn attachment(connection: Connection, program: Arc<dyn Program>, terms: Terms) -> Attachment {
    let (outbox, output) = Outbox::new(terms.owned);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(stay(connection, program, terms, receiver, outbox));
    let input = sink::unfold(sender, |sender: mpsc::Sender<AttachInput>, input| async move {
        let sent = sender.send(input).await;
        sent.map(|()| sender).map_err(|_| PortError::new(ErrorKind::Transient, "the connection is over"))
    });
    Attachment { terminal: terms.terminal, input: Box::pin(input), output }
}

/// How a session is over.
enum Ended {
    /// The program has ended, or the connection to it.
    Program(Result<AttachEnd, PortError>),
    /// One has left it to itself.
    Detached,
    /// Nobody is there any more.
    Abandoned,
    /// One who did not take what came.
    CutOff,
}

/// Whoever a program is for. With this he is gone, also when this process ends.
struct Attendance {
    program: Arc<dyn Program>,
    /// The program has ended, or goes on without him.
    is_over: bool,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if !self.is_over {
            self.program.abandon();
        }
    }
}

async fn stay(
    connection: Connection,
    program: Arc<dyn Program>,
    terms: Terms,
    input: mpsc::Receiver<AttachInput>,
    outbox: Outbox,
) {
    let (reading, writing) = tokio::io::split(connection);
    let mut attendance = Attendance { program: Arc::clone(&program), is_over: false };
    let learning = async {
        program.begun().await;
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        biased;
        ended = pass_in(writing, &*program, terms, input) => ended,
        ended = pass_out(reading, &*program, terms, &outbox) => ended,
        () = outbox.abandoned() => Ended::Abandoned,
        () = learning => Ended::Abandoned,
    };
    attendance.is_over = !matches!(ended, Ended::Abandoned);
    match ended {
        Ended::Program(end) => outbox.close(end.map(AttachOutput::End)),
        // He may have left before it was known.
        Ended::Abandoned => program.begun().await,
        Ended::Detached | Ended::CutOff => {}
    }
}

/// Passes on what is sent, until somebody leaves.
async fn pass_in(
    writing: WriteHalf<Connection>,
    program: &dyn Program,
    terms: Terms,
    mut input: mpsc::Receiver<AttachInput>,
) -> Ended {
    let mut stdin = Some(writing).filter(|_| terms.stdin);
    while let Some(input) = input.recv().await {
        match input {
            AttachInput::Stdin(bytes) => {
                // What does not read any more has an end of its own, which is still to come.
                if let Some(open) = &mut stdin
                    && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            AttachInput::EndOfStdin if terms.ends_input => {
                if let Some(mut open) = stdin.take() {
                    let _ = open.shutdown().await;
                }
            }
            AttachInput::EndOfStdin => {}
            AttachInput::Resize(size) => program.resize(size).await,
            AttachInput::Signal(number) => program.signal(number).await,
            AttachInput::Detach => return Ended::Detached,
        }
    }
    Ended::Abandoned
}

/// Passes on what the program writes, and its end.
async fn pass_out(
    mut reading: ReadHalf<Connection>,
    program: &dyn Program,
    terms: Terms,
    outbox: &Outbox,
) -> Ended {
    let mut frames = Frames::default();
    let mut is_first = true;
    let mut chunk = BytesMut::new();
    loop {
        chunk.reserve(CHUNK);
        // A connection that breaks ends here too: whether the program has, the engine says.
        if !matches!(reading.read_buf(&mut chunk).await, Ok(1..)) {
            return Ended::Program(program.end().await);
        }
        let bytes = chunk.split().freeze();
        let pieces = if terms.terminal { vec![AttachOutput::Stdout(bytes)] } else { frames.take(bytes) };
        for piece in pieces {
            let said = text(&piece);
            if std::mem::take(&mut is_first) && program.is_refusal(&said).await {
                return Ended::Program(refused(said, reading, program, terms, frames).await);
            }
            if let Err(Over) = outbox.put(Ok(piece)).await {
                return Ended::CutOff;
            }
        }
    }
}

/// The end of what was never run, with what the engine says of that.
async fn refused(
    first: Bytes,
    mut reading: ReadHalf<Connection>,
    program: &dyn Program,
    terms: Terms,
    mut frames: Frames,
) -> Result<AttachEnd, PortError> {
    let mut said = first.to_vec();
    let mut chunk = BytesMut::new();
    while said.len() < REFUSAL && matches!(reading.read_buf(&mut chunk).await, Ok(1..)) {
        let bytes = chunk.split().freeze();
        if terms.terminal {
            said.extend_from_slice(&bytes);
        } else {
            frames.take(bytes).iter().for_each(|piece| said.extend_from_slice(&text(piece)));
        }
    }
    let said = String::from_utf8_lossy(&said).trim().trim_start_matches("Error: ").to_owned();
    let end = program.end().await?;
    Ok(AttachEnd {
        code: end.code.map(|code| super::command::code_of(code, &said)),
        error: Some(said),
        ..end
    })
}

fn text(piece: &AttachOutput) -> Bytes {
    match piece {
        AttachOutput::Stdout(bytes) | AttachOutput::Stderr(bytes) => bytes.clone(),
        AttachOutput::End(_) => Bytes::new(),
    }
}
