//! The command line `homeostat monitor ...`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{exec, isolation, run, step};

/// Does what the arguments after `homeostat monitor` say: `run DIRECTORY`, `step`, or `exec`.
///
/// - `run DIRECTORY` runs the container of the [`RunRequest`](crate::RunRequest) in the directory and returns when it has ended.
///   It writes one [`Report`](crate::Report) line to stdout, once the program runs or has failed to, and then lets go of stdin, stdout and stderr.
/// - `step` runs the command of the [`StepRequest`](crate::StepRequest) on stdin.
/// - `exec` runs the command of the [`ExecRequest`](crate::ExecRequest) on stdin.
///
/// # Assumptions
/// The process has one thread, runs as root, and does nothing else: it forks and runs more than async-signal-safe code in
/// its children, and forgets its environment.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    isolation::forget_inherited();
    // Started through a descriptor, it would be called by that one's number.
    let _ = nix::sys::prctl::set_name(c"homeostat");
    let arguments: Vec<_> = arguments.into_iter().collect();
    match arguments.as_slice() {
        [verb, directory] if verb == "run" => run::run(&PathBuf::from(directory)),
        [verb] if verb == "step" => step::step(),
        [verb] if verb == "exec" => exec::exec(),
        _ => {
            let usage = b"usage: homeostat monitor run DIRECTORY | step | exec\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), usage);
            ExitCode::from(2)
        }
    }
}
