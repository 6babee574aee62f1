//! Reading logs, and waiting for more.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use homeostat_log::{self as log, LogReader};
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{LogLine, LogQuery, LogStream};
use jiff::Timestamp;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::EmbeddedError;
use crate::descriptor::readable;
use crate::run::blocking;

/// Lines that are read at once.
const BATCH: usize = 256;

/// Time between two looks for a log that nobody has written to yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The lines of a log in a directory, which need not exist.
pub(crate) fn lines(directory: PathBuf, query: &LogQuery) -> BoxStream<'static, Result<LogLine, PortError>> {
    let wanted = log::LogQuery { tail: query.tail, since: query.since, until: query.until };
    let follows_for = query.follows_for(Timestamp::now());
    let follow = follows_for.is_some();
    let begin = Reading { directory, query: wanted, follow, reader: None, watch: None };
    let batches = stream::try_unfold(begin, |reading| async move { reading.next_batch().await });
    batches
        .take_until(passed(follows_for))
        .map(|batch| match batch {
            Ok(lines) => stream::iter(lines.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(PortError::from(error))]),
        })
        .flatten()
        .boxed()
}

/// Until a log is not followed any more. The end of one that is not followed at all is where its lines end.
async fn passed(follows_for: Option<Duration>) {
    match follows_for {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

struct Reading {
    directory: PathBuf,
    query: log::LogQuery,
    follow: bool,
    reader: Option<LogReader>,
    watch: Option<AsyncFd<OwnedFd>>,
}

impl Reading {
    /// The next lines; `None` at the end of a log that is not followed.
    async fn next_batch(mut self) -> Result<Option<(Vec<LogLine>, Self)>, EmbeddedError> {
        loop {
            if self.follow && self.watch.is_none() {
                // Before the look: what is written after it is told.
                self.watch = watch(&self.directory).map_err(EmbeddedError::Io)?;
            }
            let (directory, query, reader) = (self.directory.clone(), self.query, self.reader.take());
            let (lines, reader) = blocking(move || read(&directory, &query, reader)).await?;
            self.reader = Some(reader);
            if !lines.is_empty() {
                return Ok(Some((lines, self)));
            }
            if !self.follow {
                return Ok(None);
            }
            match &self.watch {
                Some(watch) => wait_for_change(watch).await.map_err(EmbeddedError::Io)?,
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}

fn read(
    directory: &Path,
    query: &log::LogQuery,
    reader: Option<LogReader>,
) -> Result<(Vec<LogLine>, LogReader), EmbeddedError> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => LogReader::open(directory, query)?,
    };
    let mut lines = Vec::new();
    while lines.len() < BATCH {
        match reader.next_line()? {
            Some(line) => lines.push(convert(&line)),
            None => break,
        }
    }
    Ok((lines, reader))
}

/// Tells when a file of the directory is written to, created or renamed; `None` when there is no such directory.
fn watch(directory: &Path) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let descriptor = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    match inotify::add_watch(&descriptor, directory, changes) {
        Ok(_) => Ok(Some(readable(descriptor)?)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn wait_for_change(watch: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut ready = watch.readable().await?;
        let drained = ready.try_io(|descriptor| {
            let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
            Ok(rustix::io::read(descriptor.get_ref(), &mut buffer).map(|(read, _)| read.len())?)
        });
        if let Ok(read) = drained {
            return read.map(drop);
        }
    }
}

fn convert(line: &log::LogLine) -> LogLine {
    LogLine {
        time: line.time,
        stream: match line.stream {
            log::LogStream::Stdout => LogStream::Stdout,
            log::LogStream::Stderr => LogStream::Stderr,
        },
        text: String::from_utf8_lossy(&line.text).into_owned(),
    }
}
