//! The socket through which the engine says that the names have changed.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::Report;

/// Its name in the process's directory.
pub(crate) const CONTROL: &str = "control";

/// Listens for the engine.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
}

impl Control {
    /// In a directory that only this process uses.
    pub(crate) fn listen(directory: &Path) -> io::Result<Self> {
        let path = directory.join(CONTROL);
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Reports to everybody who has come: that somebody connects is all that is to be known.
    pub(crate) fn serve(&self, mut report: impl FnMut() -> Report) {
        while let Ok((mut engine, _)) = self.listener.accept() {
            // An engine that has ended meanwhile asks again when it is back.
            let _ = engine.write_all(&line(&report()));
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A report as it is sent.
pub(crate) fn line(report: &Report) -> Vec<u8> {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    line
}
