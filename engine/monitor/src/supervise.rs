//! The monitor's long life: asleep in `poll` until there is output, a signal, or the end.

use homeostat_spec::LogRotation;
use nix::errno::Errno;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::ProcessIdentity;
use crate::session::Session;

/// How the container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// As a shell gives it.
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
}

/// Passes input and output on until the container's first process has ended. On `SIGHUP` the limits of the log are asked for again.
pub(crate) fn until_end(
    init: &ProcessIdentity,
    session: &mut Session,
    signals: &SignalFd,
    rotation: impl Fn() -> Option<LogRotation>,
) -> Ending {
    loop {
        session.wait(signals, PollTimeout::NONE);
        // First, so that limits hold for all that is written after they were set.
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo == Signal::SIGHUP as u32
                && let Some(rotation) = rotation()
            {
                session.set_rotation(rotation);
            }
        }
        session.turn(init.pid);
        if let Some(ending) = reap(init.pid) {
            session.drain();
            return ending;
        }
    }
}

/// Reaps every child that has ended; returns how `pid` did, if it has.
pub(crate) fn reap(pid: u32) -> Option<Ending> {
    let mut ending = None;
    loop {
        let (ended, this) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(ended, code)) => (ended, Ending { code, signal: None }),
            Ok(WaitStatus::Signaled(ended, signal, _)) => {
                let signal = signal as i32;
                (ended, Ending { code: 128 + signal, signal: Some(signal) })
            }
            Err(Errno::EINTR) => continue,
            _ => return ending,
        };
        if ended.as_raw().cast_unsigned() == pid {
            ending = Some(this);
        }
    }
}
