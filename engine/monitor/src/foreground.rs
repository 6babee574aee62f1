//! A program that the caller waits for: it ends when the caller does.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use serde::de::DeserializeOwned;

use crate::failure::OrFail as _;
use crate::supervise::reap;
use crate::{Failure, FailureKind, identity, isolation};

/// The exit code after the time was up, as timeout(1) has it.
const TIMED_OUT: i32 = 124;

/// The caller, and the signals that mean the same as its end.
pub(crate) struct Caller {
    process: OwnedFd,
    signals: SignalFd,
}

impl Caller {
    /// Watches the process that called; fails when it is gone already.
    pub(crate) fn watch(pid: u32) -> Result<Self, Failure> {
        let signals =
            isolation::take_signals(&[Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM])?;
        let process = identity::open(pid).or_fail(FailureKind::Runtime, "watch the caller")?;
        // The descriptor may be that of a later process with the same id, unless that is the parent still.
        let process = process.filter(|_| nix::unistd::getppid().as_raw().cast_unsigned() == pid);
        let process = process.ok_or_else(|| Failure::new(FailureKind::Runtime, "the caller is gone"))?;
        Ok(Self { process, signals })
    }

    /// Waits for the end of a child of this process. When the caller ends or asks, or the time is up, `kill` is called, until
    /// the child has ended. Returns its exit code.
    pub(crate) fn wait(&self, pid: u32, time: Option<Duration>, kill: impl Fn()) -> i32 {
        let deadline = time.map(|time| Instant::now() + time);
        let (mut called_off, mut timed_out) = (false, false);
        loop {
            if let Some(ending) = reap(pid) {
                return if timed_out { TIMED_OUT } else { ending.code };
            }
            if called_off || timed_out {
                kill();
                // A frozen child does not end at once.
                self.wait_for_signal(PollTimeout::from(100u8));
                continue;
            }
            called_off = self.wait_for_news(deadline);
            timed_out = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        }
    }

    /// Says whether the caller is gone or wants no more.
    fn wait_for_news(&self, deadline: Option<Instant>) -> bool {
        let mut polled = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.process.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut polled, until(deadline));
        let gone = polled[1].any().unwrap_or(false);
        let asked = self.take_signals().any(|signal| signal != Signal::SIGCHLD as u32);
        gone || asked
    }

    fn wait_for_signal(&self, time: PollTimeout) {
        let _ = poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], time);
        self.take_signals().for_each(drop);
    }

    fn take_signals(&self) -> impl Iterator<Item = u32> {
        std::iter::from_fn(|| self.signals.read_signal().ok().flatten().map(|signal| signal.ssi_signo))
    }
}

fn until(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    // Rounded up, so that it has passed when poll returns.
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// The request on stdin.
pub(crate) fn request<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).or_fail(FailureKind::InvalidRequest, "read the request")?;
    serde_json::from_slice(&text).or_fail(FailureKind::InvalidRequest, "read the request")
}

/// The program's exit code, or a word on stderr why there was no program.
pub(crate) fn conclude(outcome: Result<i32, Failure>) -> ExitCode {
    let code = outcome.unwrap_or_else(|failure| {
        let hint = failure.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let text = format!("{}{hint}\n", failure.message);
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        failure.kind.exit_code()
    });
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
