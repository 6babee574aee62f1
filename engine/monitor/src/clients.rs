//! Those who are connected to the program, and the socket where they come.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use bytes::Bytes;
use fs_err as fs;
use homeostat_attach::Frame;
use homeostat_log::LogStream;
use homeostat_reconciler::ports::{AttachEnd, AttachOutput, AttachRequest, TerminalSize};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{SockFlag, accept4};
use nix::sys::stat::SFlag;

use crate::client::{Client, Received};
use crate::failure::OrFail as _;
use crate::{ATTACH_SOCKET, Failure, FailureKind};

/// More than ever look at one container.
const CLIENTS_AT_MOST: usize = 64;

/// How long one may take for what is left after the program's end, where the kernel does not keep it, in
/// milliseconds.
const LAST_WORDS: u16 = 5000;

/// All of them.
#[derive(Default)]
pub(crate) struct Clients {
    listener: Option<UnixListener>,
    clients: Vec<Client>,
}

impl Clients {
    /// Listens in the container's directory, in place of what an earlier run has left there. Whoever started this process may
    /// be connected to it by its stdin already.
    pub(crate) fn listen(directory: &Path) -> Result<Self, Failure> {
        let attempted = "listen for who attaches";
        let listener = bind(directory, ATTACH_SOCKET).or_fail(FailureKind::Runtime, attempted)?;
        let mut clients = Self { listener: Some(listener), clients: Vec::new() };
        if is_socket(&io::stdin()) {
            let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3);
            clients.clients.push(Client::new(socket.or_fail(FailureKind::Runtime, attempted)?, None));
            clients.receive(true);
        }
        Ok(clients)
    }

    /// One, who needs no introduction.
    pub(crate) fn only(socket: OwnedFd, request: AttachRequest) -> Self {
        Self { listener: None, clients: vec![Client::new(socket, Some(request))] }
    }

    /// The size of the window of who was there first.
    pub(crate) fn size(&self) -> Option<TerminalSize> {
        self.clients.iter().find_map(|client| client.request()?.size)
    }

    /// What to wait for; input only if it is wanted.
    pub(crate) fn wait_for<'a>(&'a self, input: bool, polled: &mut Vec<PollFd<'a>>) {
        polled.extend(self.listener.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        polled.extend(self.clients.iter().map(|client| client.waits_for(input)));
    }

    /// Lets in who has come.
    pub(crate) fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok(socket) = accept_from(listener) {
            let mut client = Client::new(socket, None);
            if self.clients.len() >= CLIENTS_AT_MOST {
                client.cut_off("too many are attached to the container");
            } else {
                self.clients.push(client);
            }
        }
    }

    /// What has come from them, with what each is here for. Input only if it is wanted.
    pub(crate) fn receive(&mut self, input: bool) -> Vec<(AttachRequest, Received)> {
        let mut all = Vec::new();
        for client in &mut self.clients {
            client.receive(input, |request, received| all.push((request.clone(), received)));
        }
        self.clients.retain(|client| !client.is_done());
        all
    }

    /// Whether the program has to wait for one of them.
    pub(crate) fn hold_back(&self) -> bool {
        self.clients.iter().any(Client::holds_back)
    }

    /// Tells them what the program has written.
    pub(crate) fn hear(&mut self, stream: LogStream, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.tell(match stream {
            LogStream::Stdout => AttachOutput::Stdout(bytes),
            LogStream::Stderr => AttachOutput::Stderr(bytes),
        });
    }

    pub(crate) fn are_there(&self) -> bool {
        self.clients.iter().any(Client::listens)
    }

    fn tell(&mut self, output: AttachOutput) {
        let frame = Frame::Output(output).to_bytes().into();
        self.clients.iter_mut().filter(|client| client.listens()).for_each(|client| client.enqueue(&frame));
    }

    /// Sends what can be sent now.
    pub(crate) fn flush(&mut self) {
        self.clients.iter_mut().for_each(Client::flush);
        self.clients.retain(|client| !client.is_done());
    }

    /// Tells them how the program has ended, after all that it has written.
    pub(crate) fn end(mut self, end: AttachEnd) {
        self.tell(AttachOutput::End(end));
        self.clients.iter_mut().for_each(|client| client.finish(PollTimeout::from(LAST_WORDS)));
    }
}

/// A socket in a directory, however long that one's path is: a socket's own may have 108 bytes.
pub(crate) fn bind(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let path = directory.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = fs::File::open(directory)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", directory.file().as_raw_fd()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Who has come, if anybody has.
#[allow(unsafe_code)]
pub(crate) fn accept_from(listener: &UnixListener) -> nix::Result<OwnedFd> {
    loop {
        match accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: the kernel has just made it, and nobody else knows it.
            Ok(socket) => return Ok(unsafe { OwnedFd::from_raw_fd(socket) }),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_socket(descriptor: &impl std::os::fd::AsRawFd) -> bool {
    nix::sys::stat::fstat(descriptor.as_raw_fd())
        .is_ok_and(|status| status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFSOCK.bits())
}
