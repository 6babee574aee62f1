//! What a program has as its stdin, stdout and stderr, and the other ends of that.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use homeostat_log::LogStream;
use nix::cmsg_space;
use nix::fcntl::OFlag;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::os::unix::net::UnixListener;

use crate::clients::{accept_from, bind};
use crate::failure::OrFail as _;
use crate::input::Input;
use crate::runtime::{Streams, nothing_to_read};
use crate::{Failure, FailureKind};

/// The program's ends.
pub(crate) enum Ends {
    /// Three descriptors.
    Streams(Streams),
    /// A terminal that the runtime makes, whose other end it sends to the socket at this path.
    Console(PathBuf),
}

/// The monitor's ends: what the program reads, and what it writes.
pub(crate) struct Monitored {
    pub(crate) input: Input,
    pub(crate) outputs: Vec<(LogStream, OwnedFd)>,
}

/// The monitor's ends, as soon as there is a program.
pub(crate) enum Expected {
    Pipes(Monitored),
    Console(Console),
}

/// Makes pipes, or a socket for a terminal in a directory.
pub(crate) fn prepare(
    terminal: bool,
    stdin: bool,
    directory: &Path,
    console: &str,
) -> Result<(Ends, Expected), Failure> {
    if terminal {
        let console = Console::listen(directory, console)?;
        return Ok((Ends::Console(console.path.clone()), Expected::Console(console)));
    }
    let (streams, monitored) = pipes(stdin).or_fail(FailureKind::Runtime, "make a pipe")?;
    Ok((Ends::Streams(streams), Expected::Pipes(monitored)))
}

impl Expected {
    pub(crate) fn take(self) -> Result<Monitored, Failure> {
        match self {
            Self::Pipes(monitored) => Ok(monitored),
            Self::Console(console) => console.terminal(),
        }
    }
}

fn pipes(stdin: bool) -> io::Result<(Streams, Monitored)> {
    let (out, stdout) = pipe()?;
    let (err, stderr) = pipe()?;
    rustix::io::ioctl_fionbio(&out, true)?;
    rustix::io::ioctl_fionbio(&err, true)?;
    let (stdin, input) = if stdin {
        let (reading, writing) = pipe()?;
        rustix::io::ioctl_fionbio(&writing, true)?;
        (reading, Input::pipe(writing))
    } else {
        (nothing_to_read()?, Input::none())
    };
    let outputs = vec![(LogStream::Stdout, out), (LogStream::Stderr, err)];
    Ok((Streams { stdin, stdout, stderr }, Monitored { input, outputs }))
}

/// The monitor's end is made so that it never blocks; the program's blocks, as programs expect.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Where the runtime sends the monitor's end of a terminal.
pub(crate) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    fn listen(directory: &Path, name: &str) -> Result<Self, Failure> {
        let listener =
            bind(directory, name).or_fail(FailureKind::Runtime, "listen for the program's terminal")?;
        Ok(Self { listener, path: directory.join(name) })
    }

    /// The terminal, once the runtime has made it.
    fn terminal(&self) -> Result<Monitored, Failure> {
        let attempted = "take over the program's terminal";
        let master = self.receive().or_fail(FailureKind::Runtime, attempted)?;
        rustix::io::ioctl_fionbio(&master, true).or_fail(FailureKind::Runtime, attempted)?;
        let input = rustix::io::fcntl_dupfd_cloexec(&master, 3).or_fail(FailureKind::Runtime, attempted)?;
        Ok(Monitored { input: Input::terminal(input), outputs: vec![(LogStream::Stdout, master)] })
    }

    #[allow(unsafe_code)]
    fn receive(&self) -> io::Result<OwnedFd> {
        let socket = accept_from(&self.listener)?;
        let mut name = [0; 4096];
        let mut iov = [io::IoSliceMut::new(&mut name)];
        let mut space = cmsg_space!(RawFd);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags)?;
        for received in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = received
                && let [master] = descriptors[..]
            {
                // SAFETY: the kernel has just made it, and nobody else knows it.
                return Ok(unsafe { OwnedFd::from_raw_fd(master) });
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the runtime has sent no terminal"))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // The runtime comes here through a link that it leaves behind.
        let links = self.path.parent().and_then(|directory| fs::read_dir(directory).ok());
        for link in links.into_iter().flatten().filter_map(Result::ok) {
            if fs::read_link(link.path()).is_ok_and(|target| target == self.path) {
                let _ = fs::remove_file(link.path());
            }
        }
    }
}
