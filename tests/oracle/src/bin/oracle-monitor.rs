//! What the test gives the embedded engine as its program: `PROGRAM monitor ...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    homeostat_monitor::main(std::env::args_os().skip(2))
}
