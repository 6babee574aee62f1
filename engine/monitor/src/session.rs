//! A program, what it reads and writes, and those who are attached to it.

use std::os::fd::AsFd as _;

use homeostat_log::Writer;
use homeostat_reconciler::ports::{AttachEnd, AttachInput, AttachRequest};
use homeostat_spec::LogRotation;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use crate::client::Received;
use crate::clients::Clients;
use crate::input::Input;
use crate::outputs::Outputs;
use crate::stdio::Monitored;

/// Everything that the monitor passes on.
pub(crate) struct Session {
    input: Input,
    outputs: Outputs,
    clients: Clients,
    /// Whoever it is run for is gone without a word.
    abandoned: bool,
}

impl Session {
    pub(crate) fn new(monitored: Monitored, log: Option<Writer>, clients: Clients) -> Self {
        let outputs = Outputs::new(monitored.outputs, log);
        Self { input: monitored.input, outputs, clients, abandoned: false }
    }

    /// Waits for something to do, or a signal.
    pub(crate) fn wait(&self, signals: &SignalFd, time: PollTimeout) {
        let mut polled = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if !self.clients.hold_back() {
            polled.extend(self.outputs.descriptors().map(|end| PollFd::new(end, PollFlags::POLLIN)));
        }
        polled.extend(self.input.waits_for_room().map(|end| PollFd::new(end, PollFlags::POLLOUT)));
        self.clients.wait_for(self.input.has_room(), &mut polled);
        // An interrupted wait is news like any other.
        let _ = poll(&mut polled, time);
    }

    /// Passes on what can be passed on now. `pid` is the program's, which is not reaped yet.
    pub(crate) fn turn(&mut self, pid: u32) {
        self.clients.accept();
        for (request, received) in self.clients.receive(self.input.has_room()) {
            self.take(&request, received, pid);
        }
        self.input.flush();
        if !self.clients.hold_back() {
            let clients = &mut self.clients;
            let listen = clients.are_there();
            self.outputs.pass_on(|stream, bytes| {
                if listen {
                    clients.hear(stream, bytes);
                }
            });
        }
        self.clients.flush();
    }

    fn take(&mut self, request: &AttachRequest, received: Received, pid: u32) {
        match received {
            Received::Input(AttachInput::Stdin(bytes)) if request.stdin => self.input.push(&bytes),
            Received::Input(AttachInput::EndOfStdin) if request.stdin && request.foreground => {
                self.input.end();
            }
            Received::Joined => request.size.iter().for_each(|size| self.input.resize(*size)),
            Received::Input(AttachInput::Resize(size)) => self.input.resize(size),
            Received::Input(AttachInput::Signal(number)) => signal(pid, number),
            Received::Left { detached: false } if request.foreground => {
                self.abandoned = true;
                if request.stdin {
                    self.input.end();
                }
            }
            Received::Input(_) | Received::Left { .. } => {}
        }
    }

    /// Whether whoever it is run for is gone, and has not said that it shall go on.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.input.is_terminal()
    }

    /// Closes the terminal: the kernel sends `SIGHUP` to what runs in it.
    pub(crate) fn hang_up(&mut self) {
        self.input.close();
        self.outputs.close();
    }

    pub(crate) fn set_rotation(&mut self, rotation: LogRotation) {
        self.outputs.set_rotation(rotation);
    }

    /// Passes on what is left after the program's end.
    pub(crate) fn drain(&mut self) {
        let clients = &mut self.clients;
        self.outputs.drain(|stream, bytes| {
            clients.hear(stream, bytes);
            clients.flush();
        });
    }

    /// Tells those who are attached how the program has ended.
    pub(crate) fn end(self, end: AttachEnd) {
        self.clients.end(end);
    }
}

fn signal(pid: u32, number: i32) {
    if let Ok(signal) = nix::sys::signal::Signal::try_from(number) {
        // It may have ended; it is not reaped, so its id is nobody else's.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal);
    }
}
