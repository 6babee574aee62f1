//! A command that nobody is connected to.

use std::process::ExitCode;

use homeostat_reconciler::ports::TerminalSize;
use jiff::Timestamp;

use super::attached::{begin, until_end};
use crate::clients::Clients;
use crate::failure::OrFail as _;
use crate::run::report;
use crate::session::Session;
use crate::{ExecRequest, Failure, FailureKind, ProcessIdentity, Report, RunState, isolation};

pub(super) fn run(request: &ExecRequest, terminal: Option<TerminalSize>) -> ExitCode {
    let _ = nix::unistd::setsid();
    let begun = begin(request, false, terminal).and_then(|begun| Ok((state(&begun)?, begun)));
    match begun {
        Ok((state, begun)) => {
            report(&Report::Ready(state));
            isolation::give_back_memory();
            // What it writes is read, so that it goes on, and goes nowhere.
            let mut session = Session::new(begun.monitored, None, Clients::default());
            until_end(begun.pid, &mut session, &begun.signals);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report(&Report::Failed(failure));
            ExitCode::FAILURE
        }
    }
}

fn state(begun: &super::attached::Begun) -> Result<RunState, Failure> {
    let identity = |pid| ProcessIdentity::of(pid).or_fail(FailureKind::Runtime, "find the command's process");
    Ok(RunState {
        ports: Vec::new(),
        monitor: identity(std::process::id())?,
        init: identity(begun.pid.as_raw().cast_unsigned())?,
        started_at: Timestamp::now(),
    })
}
