//! `top` for people.

use std::io;

use homeostat_reconciler::ports::ContainerProcess;

use super::printable;
use super::table::{self, Cell};

const HEADINGS: [&str; 4] = ["PID", "USER", "TIME", "COMMAND"];

/// Prints processes.
pub(crate) fn print(processes: &[ContainerProcess]) -> io::Result<()> {
    table::print(HEADINGS, processes.iter().map(row).collect())
}

fn row(process: &ContainerProcess) -> [Cell; 4] {
    let seconds = process.cpu.as_secs();
    [
        process.pid.to_string().into(),
        process.user.clone().into(),
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60).into(),
        printable(&process.command).into(),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn processes_are_shown_with_the_time_they_have_used() {
        let process = |pid, user: &str, seconds, command: &str| ContainerProcess {
            pid,
            user: user.to_owned(),
            cpu: Duration::from_secs(seconds),
            command: command.to_owned(),
        };
        let processes =
            [process(7, "root", 3, "nginx: master"), process(1234, "101", 3723, "evil\u{1b}[2J\nname")];
        let text = table::text(HEADINGS, processes.iter().map(row).collect());
        insta::assert_snapshot!(text, @r"
        PID   USER  TIME      COMMAND
        7     root  00:00:03  nginx: master
        1234  101   01:02:03  evil?[2J?name
        ");
    }
}
