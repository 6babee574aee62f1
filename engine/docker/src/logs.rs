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
            let follows_for = query.follows_for(Timestamp::now());
            let sent = self.send_log(&key, &query, follows_for.is_some(), &sender);
            let sent = tokio::time::timeout(follows_for.unwrap_or(Duration::MAX), sent).await;
            if let Ok(Err(failure)) = sent {
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
        follow: bool,
        lines: &mpsc::Sender<Result<LogLine, PortError>>,
    ) -> Result<(), PortError> {
        let mut events = self.events.subscribe();
        let mut lines_before = self.past_lines(key)?;
        let mut container = self.find(key).await.map_err(|failure| unreadable(key, failure))?;
        let mut position = Position::default();
        if let Some(seen) = &container {
            let told = self.told(&seen.observed.id).await.map_err(|failure| unreadable(key, failure))?;
            position.follow_to(&seen.observed.id, &told);
            let known = overlap(&lines_before, &told);
            lines_before.extend(told.into_iter().skip(known));
        }
        lines_before.retain(|line| query.is_within(line.time));
        let skipped = query.tail.map_or(0, |tail| lines_before.len().saturating_sub(tail));
        for line in lines_before.into_iter().skip(skipped) {
            if lines.send(Ok(line)).await.is_err() {
                return Ok(());
            }
        }
        if !follow {
            return Ok(());
        }
        loop {
            if let Some(seen) = &container {
                let followed = self.follow(&seen.observed.id, &mut position, lines).await;
                followed.map_err(|failure| unreadable(key, failure))?;
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
        position: &mut Position,
        lines: &mpsc::Sender<Result<LogLine, PortError>>,
    ) -> Result<(), Failure> {
        let mut told = self.lines_of(id, position.in_log_of(id), true).await?;
        while let Some(line) = told.next().await {
            let line = match line {
                Ok(line) => line,
                Err(failure) if failure.is_not_found() => return Ok(()),
                Err(failure) => return Err(failure),
            };
            position.follow_to(id, std::slice::from_ref(&line));
            if lines.send(Ok(line)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Everything that the engine has of a container's log.
    async fn told(&self, id: &str) -> Result<Vec<LogLine>, Failure> {
        let mut told = self.lines_of(id, Position::default(), false).await?;
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

    /// The lines of a container's log after a position in it.
    async fn lines_of(
        &self,
        id: &str,
        after: Position,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<LogLine, Failure>>, Failure> {
        let api = self.api().await?;
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(after.second).unwrap_or_default())
            .follow(follow)
            .build();
        let endpoint = self.endpoint.clone();
        let told = async_stream(api, id.to_owned(), options);
        let mut joined = Joined::default();
        let mut known = after.lines;
        let lines = told.filter_map(move |frame| {
            let line = match frame {
                Ok(frame) => joined.take(frame).map(Ok),
                Err(error) => Some(Err(Failure::new(error, &endpoint))),
            };
            let is_known =
                matches!(&line, Some(Ok(line)) if known > 0 && line.time.as_second() <= after.second);
            known -= usize::from(is_known);
            futures::future::ready(line.filter(|_| !is_known))
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
        let past = self.past_lines(key)?;
        let told = self.told(&container.observed.id).await.map_err(|failure| unreadable(key, failure))?;
        let known = overlap(&past, &told);
        let write = || -> io::Result<()> {
            let mut writer = Writer::new(&self.log_directory(key), container.observed.config.log.clone())?;
            for line in &told[known..] {
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

/// How many of a container's first lines are the last of those that were kept before: a kill between keeping a log and
/// removing its container leaves it in both.
fn overlap(kept: &[LogLine], told: &[LogLine]) -> usize {
    let most = kept.len().min(told.len());
    (1..=most).rev().find(|count| kept.ends_with(&told[..*count])).unwrap_or_default()
}

/// A place in the log of a container. The API counts in whole seconds, and so do Podman's times: a place is a second
/// and how many of its lines are before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Position {
    container: String,
    second: i64,
    lines: usize,
}

impl Position {
    /// After these lines of a container's log.
    fn follow_to(&mut self, container: &str, lines: &[LogLine]) {
        if self.container != container {
            *self = Self { container: container.to_owned(), ..Self::default() };
        }
        for line in lines {
            let second = line.time.as_second();
            self.lines = if second == self.second { self.lines + 1 } else { 1 };
            self.second = second;
        }
    }

    /// The same in the log of this container: in that of another one, its beginning.
    fn in_log_of(&self, container: &str) -> Self {
        if self.container == container { self.clone() } else { Self::default() }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64, text: &str) -> LogLine {
        let time = Timestamp::from_second(second).unwrap();
        LogLine { time, stream: LogStream::Stdout, text: text.to_owned() }
    }

    #[test]
    fn what_was_kept_already_is_not_kept_twice() {
        let (a, b, c) = (line(1, "a"), line(1, "b"), line(1, "b"));
        assert_eq!(overlap(std::slice::from_ref(&a), &[b.clone(), c.clone()]), 0);
        assert_eq!(overlap(&[a.clone(), b.clone()], &[b.clone(), c.clone()]), 1);
        assert_eq!(overlap(&[a, b.clone(), c.clone()], &[b, c]), 2);
        assert_eq!(overlap(&[], &[line(1, "a")]), 0);
    }

    #[test]
    fn a_position_counts_the_lines_of_its_second() {
        let mut position = Position::default();
        position.follow_to("one", &[line(5, "a"), line(6, "b"), line(6, "c")]);
        assert_eq!((position.second, position.lines), (6, 2));
        assert_eq!(position.in_log_of("two"), Position::default());
        position.follow_to("one", &[line(6, "d")]);
        assert_eq!(position.in_log_of("one").lines, 3);
        position.follow_to("two", &[line(6, "e")]);
        assert_eq!(position.lines, 1);
    }
}
