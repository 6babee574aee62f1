//! What the program writes, on its way to the log and to those who are attached.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use homeostat_log::{LogStream, Splitter, Writer};
use homeostat_spec::LogRotation;
use jiff::Timestamp;
use rustix::io::Errno;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// More than pipes hold after the program has ended; who still writes then is somebody else who was given the pipe.
const DRAINED_AT_MOST: usize = 4 * 1024 * 1024;

/// The monitor's ends, and the log, where there is one.
pub(crate) struct Outputs {
    streams: Vec<Stream>,
    log: Option<Writer>,
    chunk: Vec<u8>,
}

struct Stream {
    which: LogStream,
    /// `None` after its end.
    descriptor: Option<OwnedFd>,
    splitter: Splitter,
}

impl Outputs {
    pub(crate) fn new(outputs: Vec<(LogStream, OwnedFd)>, log: Option<Writer>) -> Self {
        let stream = |(which, descriptor)| Stream {
            which,
            descriptor: Some(descriptor),
            splitter: Splitter::new(which),
        };
        Self { streams: outputs.into_iter().map(stream).collect(), log, chunk: vec![0; CHUNK] }
    }

    /// The ends that are open.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.streams.iter().filter_map(|stream| stream.descriptor.as_ref().map(OwnedFd::as_fd))
    }

    /// Passes on what can be read now, one chunk of each stream. Says how many bytes that were.
    pub(crate) fn pass_on(&mut self, mut hear: impl FnMut(LogStream, &[u8])) -> usize {
        let mut passed = 0;
        for stream in &mut self.streams {
            let Some(descriptor) = &stream.descriptor else { continue };
            match rustix::io::read(descriptor, &mut self.chunk) {
                Ok(length) if length > 0 => {
                    passed += length;
                    let bytes = &self.chunk[..length];
                    hear(stream.which, bytes);
                    if let Some(log) = &mut self.log {
                        stream.splitter.take(Timestamp::now(), bytes, |record| log.add(record));
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // A terminal that nobody has open any more ends with an error.
                Ok(_) | Err(_) => stream.end(self.log.as_mut()),
            }
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
        passed
    }

    /// Passes on all that is still on its way, and begun lines.
    pub(crate) fn drain(&mut self, mut hear: impl FnMut(LogStream, &[u8])) {
        let mut drained = 0;
        while drained < DRAINED_AT_MOST {
            match self.pass_on(&mut hear) {
                0 => break,
                passed => drained += passed,
            }
        }
        self.close();
    }

    /// Closes them all.
    pub(crate) fn close(&mut self) {
        for stream in &mut self.streams {
            stream.end(self.log.as_mut());
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    pub(crate) fn set_rotation(&mut self, rotation: LogRotation) {
        if let Some(log) = &mut self.log {
            log.set_rotation(rotation);
        }
    }
}

impl Stream {
    fn end(&mut self, log: Option<&mut Writer>) {
        self.descriptor = None;
        if let Some(log) = log {
            self.splitter.finish(Timestamp::now(), |record| log.add(record));
        }
    }
}
