//! One who is connected to the program.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use homeostat_attach::{Decoder, Frame};
use homeostat_reconciler::ports::{AttachInput, AttachRequest};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, setsockopt, sockopt};

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// So many bytes may be on their way to somebody for whom the program does not wait.
const BEHIND_LIMIT: usize = 1024 * 1024;

/// From so many bytes on the program waits for one who holds it back.
const HELD_BACK_AT: usize = 64 * 1024;

/// What a queued frame takes beside its bytes, about.
const OVERHEAD: usize = 64;

/// A connection.
pub(crate) struct Client {
    socket: OwnedFd,
    decoder: Decoder,
    /// What it is here for; `None` until it has said so.
    request: Option<AttachRequest>,
    queue: VecDeque<Rc<[u8]>>,
    /// So much of the first in the queue is sent.
    sent: usize,
    /// Memory that the queue takes, in bytes.
    behind: usize,
    /// It gets what is in the queue, and nothing more.
    leaving: bool,
    broken: bool,
}

/// What has come from a client.
pub(crate) enum Received {
    /// It has said what it is here for.
    Joined,
    /// For the program.
    Input(AttachInput),
    /// It is gone, or wants no more.
    Left {
        /// It has said so.
        detached: bool,
    },
}

impl Client {
    pub(crate) fn new(socket: OwnedFd, request: Option<AttachRequest>) -> Self {
        Self {
            socket,
            decoder: Decoder::default(),
            request,
            queue: VecDeque::new(),
            sent: 0,
            behind: 0,
            leaving: false,
            broken: false,
        }
    }

    pub(crate) fn request(&self) -> Option<&AttachRequest> {
        self.request.as_ref()
    }

    fn is_foreground(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.foreground)
    }

    /// Whether it hears what the program writes.
    pub(crate) fn listens(&self) -> bool {
        self.request.is_some() && !self.leaving && !self.broken
    }

    /// Whether the program has to wait for it.
    pub(crate) fn holds_back(&self) -> bool {
        self.is_foreground() && self.listens() && self.behind >= HELD_BACK_AT
    }

    /// Whether there is nothing left to do for it.
    pub(crate) fn is_done(&self) -> bool {
        self.broken || self.leaving && self.queue.is_empty()
    }

    /// What to wait for. Its end is always news.
    pub(crate) fn waits_for(&self, reads: bool) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, reads && !self.leaving);
        flags.set(PollFlags::POLLOUT, !self.queue.is_empty());
        PollFd::new(self.socket.as_fd(), flags)
    }

    /// Reads what has come, one chunk of it. With `reads` false only when nothing more can come: input that nobody takes
    /// stays where it is.
    pub(crate) fn receive(&mut self, reads: bool, mut take: impl FnMut(&AttachRequest, Received)) {
        if self.leaving || self.broken || !reads && !is_hung_up(self.socket.as_fd()) {
            return;
        }
        let mut chunk = [0; CHUNK];
        match recv(self.socket.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.leave(false, &mut take),
            Ok(length) => {
                self.decoder.push(&chunk[..length]);
                self.decode(&mut take);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.leave(false, &mut take),
        }
    }

    fn decode(&mut self, take: &mut impl FnMut(&AttachRequest, Received)) {
        while !self.broken && !self.leaving {
            match (self.decoder.take(), &self.request) {
                (Ok(None), _) => return,
                (Ok(Some(Frame::Request(request))), None) => {
                    take(&request, Received::Joined);
                    self.request = Some(request);
                    self.enqueue(&Frame::Ready.to_bytes().into());
                }
                (Ok(Some(Frame::Input(AttachInput::Detach))), Some(_)) => self.leave(true, take),
                (Ok(Some(Frame::Input(input))), Some(request)) => take(request, Received::Input(input)),
                // Whoever does not speak as expected is as good as gone.
                (Ok(Some(_)) | Err(_), _) => self.leave(false, take),
            }
        }
    }

    fn leave(&mut self, detached: bool, take: &mut impl FnMut(&AttachRequest, Received)) {
        self.broken = true;
        if let Some(request) = &self.request {
            take(request, Received::Left { detached });
        }
    }

    /// Queues a frame.
    pub(crate) fn enqueue(&mut self, frame: &Rc<[u8]>) {
        self.behind += frame.len() + OVERHEAD;
        self.queue.push_back(Rc::clone(frame));
    }

    /// Sends what can be sent now. One that is too far behind, and that nobody waits for, is told so and let go.
    pub(crate) fn flush(&mut self) {
        self.send();
        if !self.is_foreground() && !self.leaving && self.behind > BEHIND_LIMIT {
            self.cut_off("what the container writes was taken too slowly; `homeostat logs` has it");
        }
    }

    /// Says why, and lets it go. Of what is queued only a frame that was begun is still sent.
    pub(crate) fn cut_off(&mut self, reason: &str) {
        self.queue.truncate(usize::from(self.sent > 0));
        self.behind = self.queue.iter().map(|frame| frame.len() + OVERHEAD).sum();
        self.enqueue(&Frame::CutOff(reason.to_owned()).to_bytes().into());
        self.leaving = true;
        self.send();
    }

    fn send(&mut self) {
        while let Some(frame) = self.queue.front() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &frame[self.sent..], flags) {
                Ok(length) if self.sent + length == frame.len() => {
                    self.behind -= frame.len() + OVERHEAD;
                    self.sent = 0;
                    self.queue.pop_front();
                }
                Ok(length) => self.sent += length,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    self.broken = true;
                    return;
                }
            }
        }
        if self.queue.capacity() > CHUNK / OVERHEAD {
            self.queue = VecDeque::new();
        }
    }

    /// Sends all that is queued. The kernel takes it, and keeps it for one who reads it later.
    pub(crate) fn finish(&mut self, time: PollTimeout) {
        // Takes CAP_NET_ADMIN; without it the buffer stays as it is, and it is waited for a while.
        let holds = getsockopt(&self.socket, sockopt::SndBuf).unwrap_or_default();
        let _ = setsockopt(&self.socket, sockopt::SndBufForce, &(holds + 4 * self.behind));
        self.send();
        while !self.queue.is_empty() && !self.broken {
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)], time) {
                Ok(1..) | Err(Errno::EINTR) => self.send(),
                _ => return,
            }
        }
    }
}

fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
