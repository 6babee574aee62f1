//! `homeostat monitor` without the rest of homeostat: `monitor run DIRECTORY`, `monitor step`, `monitor exec`.
//!
//! The tests start it as the agent starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    homeostat_monitor::main(std::env::args_os().skip(1))
}
