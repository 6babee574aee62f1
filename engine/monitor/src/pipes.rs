//! From the container's stdout and stderr to its log.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use homeostat_log::{LogStream, Splitter, Writer};
use homeostat_spec::LogRotation;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use rustix::io::Errno;

use crate::failure::OrFail as _;
use crate::runtime::{Streams, nothing_to_read};
use crate::{Failure, FailureKind, Log};

/// How much is read from a pipe at once.
const CHUNK: usize = 16 * 1024;

/// More than pipes hold after the container has ended; who still writes then is somebody else who was given the pipe.
const DRAINED_AT_MOST: usize = 4 * 1024 * 1024;

/// The reading ends, and where their bytes go.
pub(crate) struct Pipes {
    streams: [Stream; 2],
    writer: Writer,
    chunk: Vec<u8>,
}

struct Stream {
    /// `None` after its end.
    pipe: Option<OwnedFd>,
    splitter: Splitter,
}

impl Pipes {
    /// Opens the log, and makes the pipes; the writing ends are for the container.
    pub(crate) fn new(log: &Log, rotation: Option<LogRotation>) -> Result<(Self, Streams), Failure> {
        let rotation = rotation.unwrap_or_else(|| log.rotation.clone());
        let writer = Writer::new(&log.directory, rotation).or_fail(FailureKind::Runtime, "open the log")?;
        let (out, stdout) = pipe()?;
        let (err, stderr) = pipe()?;
        let stdin = nothing_to_read().or_fail(FailureKind::Runtime, "open /dev/null")?;
        let stream = |pipe, stream| Stream { pipe: Some(pipe), splitter: Splitter::new(stream) };
        let streams = [stream(out, LogStream::Stdout), stream(err, LogStream::Stderr)];
        let pipes = Self { streams, writer, chunk: vec![0; CHUNK] };
        Ok((pipes, Streams { stdin, stdout, stderr }))
    }

    /// The open reading ends.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().filter_map(|stream| stream.pipe.as_ref().map(OwnedFd::as_fd))
    }

    /// Writes what can be read now, one chunk of each pipe, to the log. Says how many bytes that were.
    pub(crate) fn pass_on(&mut self) -> usize {
        let mut passed = 0;
        for stream in &mut self.streams {
            let Some(pipe) = &stream.pipe else { continue };
            match rustix::io::read(pipe, &mut self.chunk) {
                Ok(0) => {
                    stream.pipe = None;
                    stream.splitter.finish(Timestamp::now(), |record| self.writer.add(record));
                }
                Ok(length) => {
                    passed += length;
                    let bytes = &self.chunk[..length];
                    stream.splitter.take(Timestamp::now(), bytes, |record| self.writer.add(record));
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => stream.pipe = None,
            }
        }
        self.writer.flush();
        passed
    }

    /// Writes all that is still in the pipes, and begun lines.
    pub(crate) fn drain(&mut self) {
        let mut drained = 0;
        while drained < DRAINED_AT_MOST {
            match self.pass_on() {
                0 => break,
                passed => drained += passed,
            }
        }
        for stream in &mut self.streams {
            stream.pipe = None;
            stream.splitter.finish(Timestamp::now(), |record| self.writer.add(record));
        }
        self.writer.flush();
    }

    pub(crate) fn set_rotation(&mut self, rotation: LogRotation) {
        self.writer.set_rotation(rotation);
    }
}

/// A pipe whose reading end never blocks the monitor; the writing end blocks the program, as programs expect.
fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    let make = || -> io::Result<_> {
        let (reading, writing) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reading, true)?;
        Ok((reading, writing))
    };
    make().or_fail(FailureKind::Runtime, "make a pipe")
}
