//! What the tests give the embedded engine as its program: only `PROGRAM monitor ...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|verb| verb != "monitor") {
        return ExitCode::from(2);
    }
    homeostat_monitor::main(arguments)
}
