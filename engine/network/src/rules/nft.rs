//! Runs the program `nft`.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use super::RulesError;
use crate::InterfaceName;

/// Where `nft` is looked for: along PATH, then where Debian has it, since PATH often lacks the sbin directories.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// The table as JSON (libnftables-json(5)). `None` when it does not exist or cannot be read; what stands in the way
/// of reading also stands in the way of writing, and is told then.
pub(super) fn list(table: &InterfaceName) -> Option<String> {
    let output = execute(&["-j", "list", "table", "ip", table.as_str()], "").ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a script as one transaction.
pub(super) fn run(script: &str) -> Result<(), RulesError> {
    let output = execute(&["-f", "-"], script)?;
    if output.status.success() { Ok(()) } else { Err(classify(&String::from_utf8_lossy(&output.stderr))) }
}

fn execute(arguments: &[&str], input: &str) -> Result<Output, RulesError> {
    for program in PROGRAMS {
        match execute_program(program, arguments, input) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result.map_err(RulesError::Run),
        }
    }
    Err(RulesError::Missing)
}

fn execute_program(program: &str, arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // nft reads all of it before it writes anything, so the pipes cannot block each other. One that ends early tells
    // why on stderr.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(output),
    }
}

/// nft tells causes only in words: the kernel's, as strerror(3) has them.
fn classify(stderr: &str) -> RulesError {
    let message = stderr.lines().find(|line| line.contains("rror")).unwrap_or(stderr).trim().to_owned();
    let says = |text: &str| stderr.contains(text);
    if says("Operation not permitted") {
        RulesError::NotPermitted
    } else if says("not supported") || says("No such file or directory") && says("chain") {
        RulesError::Unsupported { message }
    } else {
        RulesError::Refused { message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        let lacks_nat =
            "/dev/stdin:9:3-8: Error: Could not process rule: No such file or directory\n  chain output {\n";
        assert!(matches!(classify(lacks_nat), RulesError::Unsupported { .. }));
        let lacks_nftables = "Error: cache initialization failed: Protocol not supported\n";
        assert!(matches!(classify(lacks_nftables), RulesError::Unsupported { .. }));
        let user = "Error: cache initialization failed: Operation not permitted\n";
        assert!(matches!(classify(user), RulesError::NotPermitted));
        let busy = "Error: Could not process rule: Device or resource busy\n";
        assert!(matches!(classify(busy), RulesError::Refused { message } if message.ends_with("busy")));
    }
}
