//! One who is at a program in a container: keys and pipes one way, what it writes the other.

mod detach_keys;
mod raw;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use homeostat_reconciler::ports::{AttachEnd, AttachInput, AttachOutput, Attachment};
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::errors::{self, CliError};
pub(super) use detach_keys::DetachKeys;
pub(super) use raw::{is_typed_at, window};

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// How long a detachment may take to be heard of.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// The exit code of a command of this program that fails itself, beside those of what it runs.
pub(super) const OWN_FAILURE: u8 = 125;

/// How one is at a program.
pub(super) struct Session {
    /// Stdin is passed on.
    pub(super) stdin: bool,
    /// The keys with which one leaves, where there is a terminal.
    pub(super) detach_keys: DetachKeys,
    /// Signals are passed on, where there is no terminal that does so.
    pub(super) signals: bool,
}

/// How one came back.
pub(super) enum Returned {
    /// The program has ended.
    Ended(AttachEnd),
    /// One has left it to itself.
    Detached,
    /// This process was asked to end, by this signal.
    Signalled(u8),
}

impl Returned {
    /// The exit code. Says why there was no program, if there was none.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Ended(end) => {
                if let Some(error) = &end.error {
                    errors::print_message(error, end.hint.as_deref());
                }
                end.code.map_or(OWN_FAILURE, |code| u8::try_from(code & 0xff).unwrap_or(OWN_FAILURE))
            }
            Self::Detached => super::DONE,
            Self::Signalled(number) => 128 + number,
        }
    }
}

impl Session {
    /// Stays at the program until it ends, or one leaves.
    pub(super) async fn stay(self, attachment: Attachment) -> Result<Returned, CliError> {
        let raw = if attachment.terminal && self.stdin && is_typed_at() {
            Some(raw::RawTerminal::enter()?)
        } else {
            None
        };
        let Attachment { input, mut output, .. } = attachment;
        let (left, mut leaving) = mpsc::channel(1);
        let mut hung_up = signal(SignalKind::hangup())?;
        let asked = Asked::listen()?;
        let stdin = own(io::stdin())?;
        let passing_on = Input { session: self, stdin, sink: input, is_raw: raw.is_some(), asked, left };
        // Apart: what the program reads never waits for what it writes.
        let passing_on = tokio::spawn(passing_on.pass_on());
        let mut streams = Streams { stdout: own(io::stdout())?, stderr: own(io::stderr())? };
        let returned = loop {
            tokio::select! {
                biased;
                Some(returned) = leaving.recv() => {
                    if matches!(returned, Returned::Detached) {
                        // It has arrived when the other side closes.
                        let closed = async { while output.next().await.is_some() {} };
                        let _ = tokio::time::timeout(DETACH_LIMIT, closed).await;
                    }
                    break Ok(returned);
                }
                item = output.next() => match item {
                    Some(Ok(AttachOutput::End(end))) => break Ok(Returned::Ended(end)),
                    Some(Ok(item)) => if let Err(error) = streams.show(item).await { break Err(error.into()) },
                    Some(Err(error)) => break Err(error.into()),
                    None => break Err(lost().into()),
                },
                _ = hung_up.recv() => break Ok(Returned::Signalled(signal_number(SignalKind::hangup()))),
            }
        };
        passing_on.abort();
        drop(raw);
        returned
    }
}

fn lost() -> PortError {
    PortError::new(ErrorKind::Transient, "the connection to the program is lost")
        .with_hint("what runs in a container goes on without it; a command that was run for it has ended")
}

/// What this process is asked by others.
struct Asked {
    signals: Vec<(SignalKind, Signal)>,
    resized: Signal,
}

impl Asked {
    fn listen() -> io::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let signals = kinds.into_iter().map(|kind| Ok((kind, signal(kind)?))).collect::<io::Result<_>>()?;
        Ok(Self { signals, resized: signal(SignalKind::window_change())? })
    }

    /// The next signal, or `None` when the window has changed.
    async fn next(&mut self) -> Option<SignalKind> {
        let waits = self.signals.iter_mut().map(|(kind, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *kind
            })
        });
        tokio::select! {
            (kind, ..) = futures::future::select_all(waits) => Some(kind),
            _ = self.resized.recv() => None,
        }
    }
}

/// From here to the program.
struct Input {
    session: Session,
    stdin: File,
    sink: std::pin::Pin<Box<dyn futures::Sink<AttachInput, Error = PortError> + Send>>,
    is_raw: bool,
    asked: Asked,
    left: mpsc::Sender<Returned>,
}

impl Input {
    /// Passes on until one leaves, or nobody takes it any more.
    async fn pass_on(mut self) {
        let mut is_open = self.session.stdin;
        let mut chunk = vec![0; CHUNK];
        loop {
            let passed = tokio::select! {
                read = self.stdin.read(&mut chunk), if is_open => match read {
                    Ok(length) if length > 0 => self.typed(&chunk[..length]).await,
                    _ => {
                        is_open = false;
                        self.sink.send(AttachInput::EndOfStdin).await.is_ok()
                    }
                },
                asked = self.asked.next() => match asked {
                    None => match window() {
                        Some(size) => self.sink.send(AttachInput::Resize(size)).await.is_ok(),
                        None => true,
                    },
                    Some(kind) => self.signalled(kind).await,
                },
            };
            if !passed {
                // Held until the end: without it the other side would take this one for gone.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Says whether it goes on.
    async fn typed(&mut self, bytes: &[u8]) -> bool {
        let passed = if self.is_raw { self.session.detach_keys.pass(bytes) } else { Some(bytes.to_vec()) };
        match passed {
            Some(passed) if passed.is_empty() => true,
            Some(passed) => self.sink.send(AttachInput::Stdin(passed.into())).await.is_ok(),
            None => {
                // First said here: the other side closes for it, and that is not taken for a loss then.
                let _ = self.left.send(Returned::Detached).await;
                let _ = self.sink.send(AttachInput::Detach).await;
                false
            }
        }
    }

    async fn signalled(&mut self, kind: SignalKind) -> bool {
        if self.session.signals && !self.is_raw {
            return self.sink.send(AttachInput::Signal(kind.as_raw_value())).await.is_ok();
        }
        let _ = self.left.send(Returned::Signalled(signal_number(kind))).await;
        false
    }
}

/// A stream of this process, for reading and writing that holds up nothing else.
fn own(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from_std(std::fs::File::from(stream.as_fd().try_clone_to_owned()?)))
}

fn signal_number(kind: SignalKind) -> u8 {
    u8::try_from(kind.as_raw_value()).unwrap_or_default()
}

/// Where it is shown.
struct Streams {
    stdout: File,
    stderr: File,
}

impl Streams {
    async fn show(&mut self, output: AttachOutput) -> io::Result<()> {
        match output {
            AttachOutput::Stdout(bytes) => {
                self.stdout.write_all(&bytes).await?;
                self.stdout.flush().await
            }
            AttachOutput::Stderr(bytes) => {
                self.stderr.write_all(&bytes).await?;
                self.stderr.flush().await
            }
            AttachOutput::End(_) => Ok(()),
        }
    }
}
