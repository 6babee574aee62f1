//! Logs: those of the container that is there from the engine, those of containers before it from files.
//!
//! The engines remove a container's log with it. A log belongs to its key, so that it is written out before.

use std::io;
use std::path::PathBuf;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use homeostat_log::{LogReader, Record, Writer};
use homeostat_reconciler::ports::{EngineEvent, LogLine, LogQuery, LogStream};
use homeostat_reconciler::{ErrorKind, PortError, ResourceKey};
use jiff::Timestamp;
use tokio::sync::mpsc;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Inner;
use crate::failure::Failure;
use crate::read::Seen;

/// Lines that wait for a slow reader.
const AHEAD: usize = 256;
/// Whoever follows a log looks for its next container after so long, if no event tells of it before.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

type Lines = BoxStream<'static, Result<LogLine, PortError>>;

impl Inner {
    pub(crate) fn log_directory(&self, key: &ResourceKey) -> PathBuf {
        self.logs.join(key.app.as_str()).join(key.name.as_str())
    }

    /// The lines of a container's log and of those before it.
    pub(crate) fn log(self: Arc<Self>, key: ResourceKey, query: LogQuery) -> Lines {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            if let Err(failure) = self.send_log(&key, &query, &sender).await {
                // Nobody may listen any more.
                let _ = sender.send(Err(failure)).await;
            }
        });
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
            .boxed()
    }

    async fn send_log(
        &self,
        key: &ResourceKey,
        query: &LogQuery,
        lines: &mpsc::Sender<Result<LogLine, PortError>>,
    ) -> Result<(), PortError> {
        let mut events = self.events.subscribe();
        let mut past = self.past_lines(key)?;
        let mut container = self.find(key).await.map_err(|failure| unreadable(key, failure))?;
        if let Some(seen) = &container {
            let told = self.told_since(&seen.observed.id, past.last().map(|line| line.time)).await;
            past.extend(told.map_err(|failure| unreadable(key, failure))?);
        }
        past.retain(|line| query.since.is_none_or(|since| line.time >= since));
        let skipped = query.tail.map_or(0, |tail| past.len().saturating_sub(tail));
        let mut last = past.last().map(|line| line.time);
        for line in past.into_iter().skip(skipped) {
            if lines.send(Ok(line)).await.is_err() {
                return Ok(());
            }
        }
        if !query.follow {
            return Ok(());
        }
        loop {
            if let Some(seen) = &container {
                self.follow(&seen.observed.id, &mut last, lines)
                    .await
                    .map_err(|failure| unreadable(key, failure))?;
            }
            if lines.is_closed() {
                return Ok(());
            }
            // The run has ended, or there is none: the next one goes on with the log.
            wait(&mut events, lines).await;
            container = self.find(key).await.unwrap_or_default();
        }
    }

    /// Passes on what a container writes until its run ends.
    async fn follow(
        &self,
        id: &str,
        last: &mut Option<Timestamp>,
        lines: &mpsc::Sender<Result<LogLine, PortError>>,
    ) -> Result<(), Failure> {
        let mut told = self.lines_of(id, *last, true).await?;
        while let Some(line) = told.next().await {
            let line = match line {
                Ok(line) => line,
                Err(failure) if failure.is_not_found() => return Ok(()),
                Err(failure) => return Err(failure),
            };
            *last = Some(line.time);
            if lines.send(Ok(line)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Everything that the engine has of a container's log after a time.
    async fn told_since(&self, id: &str, after: Option<Timestamp>) -> Result<Vec<LogLine>, Failure> {
        let mut told = self.lines_of(id, after, false).await?;
        let mut lines = Vec::new();
        while let Some(line) = told.next().await {
            match line {
                Ok(line) => lines.push(line),
                Err(failure) if failure.is_not_found() => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok(lines)
    }

    async fn lines_of(
        &self,
        id: &str,
        after: Option<Timestamp>,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<LogLine, Failure>>, Failure> {
        let api = self.api().await?;
        // The API counts in whole seconds: what is known already is left out below.
        let seconds = after.map_or(0, |after| i32::try_from(after.as_second()).unwrap_or_default());
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(seconds)
            .follow(follow)
            .build();
        let endpoint = self.endpoint.clone();
        let id = id.to_owned();
        let told = async_stream(api, id, options);
        let mut joined = Joined::default();
        let lines = told.filter_map(move |frame| {
            let line = match frame {
                Ok(frame) => joined.take(frame).map(Ok),
                Err(error) => Some(Err(Failure::new(error, &endpoint))),
            };
            let line = line.filter(|line| match (line, after) {
                (Ok(line), Some(after)) => line.time > after,
                _ => true,
            });
            futures::future::ready(line)
        });
        Ok(lines.boxed())
    }

    /// The lines of containers that are gone, oldest first.
    fn past_lines(&self, key: &ResourceKey) -> Result<Vec<LogLine>, PortError> {
        let read = || -> io::Result<Vec<LogLine>> {
            let everything = homeostat_log::LogQuery::default();
            let mut reader = LogReader::open(&self.log_directory(key), &everything)?;
            let mut lines = Vec::new();
            while let Some(line) = reader.next_line()? {
                lines.push(LogLine {
                    time: line.time,
                    stream: match line.stream {
                        homeostat_log::LogStream::Stdout => LogStream::Stdout,
                        homeostat_log::LogStream::Stderr => LogStream::Stderr,
                    },
                    text: String::from_utf8_lossy(&line.text).into_owned(),
                });
            }
            Ok(lines)
        };
        read().map_err(|error| unwritten(key, error))
    }

    /// Writes the log of a container out before it is removed. What a kill in the middle has left is gone on with.
    pub(crate) async fn keep_log(&self, key: &ResourceKey, container: &Seen) -> Result<(), PortError> {
        let last = self.past_lines(key)?.last().map(|line| line.time);
        let told = self.told_since(&container.observed.id, last).await;
        let told = told.map_err(|failure| unreadable(key, failure))?;
        let write = || -> io::Result<()> {
            let mut writer = Writer::new(&self.log_directory(key), container.observed.config.log.clone())?;
            for line in &told {
                writer.add(Record {
                    time: line.time,
                    stream: match line.stream {
                        LogStream::Stdout => homeostat_log::LogStream::Stdout,
                        LogStream::Stderr => homeostat_log::LogStream::Stderr,
                    },
                    partial: false,
                    text: line.text.as_bytes(),
                });
            }
            writer.flush();
            Ok(())
        };
        write().map_err(|error| unwritten(key, error))
    }
}

fn unreadable(key: &ResourceKey, failure: Failure) -> PortError {
    failure.about(format!("the log of container {key} cannot be read"))
}

fn unwritten(key: &ResourceKey, error: io::Error) -> PortError {
    let message = format!("the kept log of container {key} cannot be used");
    PortError::new(ErrorKind::Transient, message).caused_by(error)
}

/// Until something happens, or nobody listens to the log any more.
async fn wait(
    events: &mut tokio::sync::broadcast::Receiver<EngineEvent>,
    lines: &mpsc::Sender<Result<LogLine, PortError>>,
) {
    tokio::select! {
        _ = events.recv() => {}
        () = tokio::time::sleep(LOOK_AGAIN) => {}
        () = lines.closed() => {}
    }
}

/// bollard's stream borrows its client: this one has it with it.
fn async_stream(
    api: bollard::Docker,
    id: String,
    options: bollard::query_parameters::LogsOptions,
) -> BoxStream<'static, Result<LogOutput, bollard::errors::Error>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut frames = api.logs(&id, Some(options));
        while let Some(frame) = frames.next().await {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

/// Puts the parts together in which the engines tell long lines.
#[derive(Debug, Default)]
struct Joined {
    stdout: Option<LogLine>,
    stderr: Option<LogLine>,
}

impl Joined {
    /// The line that the frame completes.
    fn take(&mut self, frame: LogOutput) -> Option<LogLine> {
        let (begun, stream, message) = match frame {
            LogOutput::StdErr { message } => (&mut self.stderr, LogStream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                (&mut self.stdout, LogStream::Stdout, message)
            }
        };
        let text = String::from_utf8_lossy(&message);
        let (time, rest) = text.split_once(' ').unwrap_or((text.trim_end(), ""));
        let time = time.parse().ok()?;
        let is_whole = rest.ends_with('\n');
        let line = begun.get_or_insert_with(|| LogLine { time, stream, text: String::new() });
        line.text.push_str(rest.strip_suffix('\n').unwrap_or(rest));
        if is_whole || !is_partial(&message) { begun.take() } else { None }
    }
}

/// The engines cut lines after 16 KiB; a shorter one without an end is the last of its stream.
fn is_partial(message: &[u8]) -> bool {
    message.len() >= 16 << 10
}
