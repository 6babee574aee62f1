//! What the program reads.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use homeostat_reconciler::ports::TerminalSize;
use rustix::io::Errno;

/// So much may wait for the program, in bytes. More is not taken from who sends it.
const WAITING: usize = 64 * 1024;

/// The writing end of a pipe, the program's terminal, or nothing.
pub(crate) struct Input {
    /// It never blocks. `None` when there is none, or no more.
    descriptor: Option<OwnedFd>,
    terminal: bool,
    waiting: Vec<u8>,
    ended: bool,
}

impl Input {
    pub(crate) fn none() -> Self {
        Self { descriptor: None, terminal: false, waiting: Vec::new(), ended: false }
    }

    pub(crate) fn pipe(writing: OwnedFd) -> Self {
        Self { descriptor: Some(writing), ..Self::none() }
    }

    pub(crate) fn terminal(master: OwnedFd) -> Self {
        Self { descriptor: Some(master), terminal: true, ..Self::none() }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether more is taken.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// Where it is waited for room.
    pub(crate) fn waits_for_room(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().filter(|_| !self.waiting.is_empty()).map(OwnedFd::as_fd)
    }

    /// Takes what is for the program. Without one that reads it is thrown away.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.descriptor.is_some() && !self.ended {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// Nothing more comes. A terminal has no such end.
    pub(crate) fn end(&mut self) {
        self.ended = !self.terminal;
    }

    /// Closes it, whatever waits.
    pub(crate) fn close(&mut self) {
        *self = Self { terminal: self.terminal, ..Self::none() };
    }

    /// Writes what the program takes now.
    pub(crate) fn flush(&mut self) {
        while let Some(descriptor) = self.descriptor.as_ref().filter(|_| !self.waiting.is_empty()) {
            match rustix::io::write(descriptor, &self.waiting) {
                Ok(length) if length == self.waiting.len() => self.waiting = Vec::new(),
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // It does not read any more.
                Err(_) => self.close(),
            }
        }
        if self.ended {
            self.close();
        }
    }

    /// Tells the terminal the size of its window; whatever is in its foreground gets `SIGWINCH`.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(master) = self.descriptor.as_ref().filter(|_| self.terminal) {
            set_size(master.as_fd(), size);
        }
    }
}

/// Sets the size of a terminal, given by either of its ends.
#[allow(unsafe_code)]
pub(crate) fn set_size(terminal: BorrowedFd<'_>, size: TerminalSize) {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads this one structure. A descriptor that is no terminal refuses it.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}
