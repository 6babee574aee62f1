//! A command for somebody who is connected to it.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitCode;

use homeostat_reconciler::ports::{AttachEnd, AttachRequest, TerminalSize};
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::{Target, kill_session};
use crate::clients::Clients;
use crate::failure::OrFail as _;
use crate::session::Session;
use crate::stdio;
use crate::supervise::{Ending, reap};
use crate::{ExecRequest, Failure, FailureKind, documents, isolation};

/// A program that is frozen does not end at once when it is killed; so it is looked after again.
const AGAIN: u16 = 100;

pub(super) fn run(request: &ExecRequest, stdin: bool, terminal: Option<TerminalSize>) -> ExitCode {
    // The one whose socket this is may end at any time, and a terminal of its own is not this process's.
    let _ = nix::unistd::setsid();
    let socket = match take_stdout() {
        Ok(socket) => socket,
        Err(error) => return crate::foreground::conclude(Err(error)),
    };
    let clients = Clients::only(socket, AttachRequest { stdin, foreground: true, size: terminal });
    match begin(request, stdin, terminal) {
        Ok(begun) => {
            let mut session = Session::new(begun.monitored, None, clients);
            let ending = until_end(begun.pid, &mut session, &begun.signals);
            session.end(AttachEnd { code: Some(ending.code), ..AttachEnd::default() });
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let code = Some(failure.kind.exit_code());
            clients.end(AttachEnd { code, error: Some(failure.message), hint: failure.hint });
            ExitCode::FAILURE
        }
    }
}

/// A command that runs.
pub(super) struct Begun {
    pub(super) pid: Pid,
    pub(super) monitored: stdio::Monitored,
    pub(super) signals: SignalFd,
}

/// Starts the command with pipes, or with a terminal.
pub(super) fn begin(
    request: &ExecRequest,
    stdin: bool,
    terminal: Option<TerminalSize>,
) -> Result<Begun, Failure> {
    documents::check_id(&request.id)?;
    let signals = isolation::take_signals(&[Signal::SIGCHLD])?;
    let target = Target::find(request)?;
    isolation::spare_no_more()?;
    let directory = request.runtime_dir.join(&request.id);
    let console = format!("console-{}.sock", std::process::id());
    let (ends, expected) = stdio::prepare(terminal.is_some(), stdin, &directory, &console)?;
    let pid = target.start(request, ends, terminal)?;
    // It goes on when whoever has called ends, and so does this process.
    let _ = target.cgroup.put_beside(std::process::id());
    Ok(Begun { pid, monitored: expected.take()?, signals })
}

/// Passes input and output on until the command has ended.
pub(super) fn until_end(pid: Pid, session: &mut Session, signals: &SignalFd) -> Ending {
    let number = pid.as_raw().cast_unsigned();
    loop {
        let killing = session.is_abandoned() && !session.has_terminal();
        session.wait(signals, if killing { PollTimeout::from(AGAIN) } else { PollTimeout::NONE });
        while let Ok(Some(_)) = signals.read_signal() {}
        session.turn(number);
        if let Some(ending) = reap(number) {
            session.drain();
            return ending;
        }
        match (session.is_abandoned(), session.has_terminal()) {
            (true, true) => session.hang_up(),
            (true, false) => kill_session(pid),
            (false, _) => {}
        }
    }
}

/// The socket that is stdout; from now on nothing that is written there by mistake goes to whoever is connected.
fn take_stdout() -> Result<OwnedFd, Failure> {
    let attempted = "take over the connection";
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3).or_fail(FailureKind::Runtime, attempted)?;
    let null = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.or_fail(FailureKind::Runtime, attempted)?;
    nix::unistd::dup2(null.file().as_raw_fd(), 1).or_fail(FailureKind::Runtime, attempted)?;
    Ok(socket)
}
