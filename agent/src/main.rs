//! The `homeostat` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // libcontainer forks from the process it is called in: the monitor has to be single-threaded, so it
    // is chosen before anything else happens.
    if arguments.next().is_some_and(|first| first == "monitor") {
        return homeostat_monitor::main(arguments);
    }
    homeostat::cli::main()
}
