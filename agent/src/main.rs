//! The `homeostat` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // libcontainer forks from the process it is called in: the monitor has to be single-threaded, so it
    // is chosen before anything else happens. Who answers names is small by being alone.
    match arguments.next() {
        Some(first) if first == "monitor" => homeostat_monitor::main(arguments),
        Some(first) if first == "dns" => homeostat_dns::main(arguments),
        _ => homeostat::cli::main(),
    }
}
