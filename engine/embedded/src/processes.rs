//! Processes of containers, as procfs tells of them.

use std::time::Duration;

use fs_err as fs;
use homeostat_files::Root;
use homeostat_files::accounts::Accounts;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::ContainerProcess;
use nix::unistd::{SysconfVar, sysconf};

use crate::EmbeddedError;
use crate::engine::Inner;

impl Inner {
    /// The processes of a container that runs.
    pub(crate) fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, EmbeddedError> {
        let container = self.require(key)?;
        if container.live()?.is_none() {
            return Err(EmbeddedError::NotRunning(key.clone()));
        }
        let accounts = Root::open("/").and_then(|root| Accounts::read(&root)).unwrap_or_default();
        // One that ends at this moment is left out.
        Ok(container.cgroup.processes()?.into_iter().filter_map(|pid| process(pid, &accounts)).collect())
    }
}

fn process(pid: u32, accounts: &Accounts) -> Option<ContainerProcess> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let text = |name: &str| Some(String::from_utf8_lossy(&read(name)?).into_owned());
    let (name, cpu) = name_and_cpu(&text("stat")?)?;
    let uid = effective_user(&text("status")?)?;
    let user = accounts.account(&uid).map_or(uid.clone(), |account| account.name.to_owned());
    Some(ContainerProcess { pid, user, cpu, command: command_line(&read("cmdline")?, &name) })
}

/// The second field of `/proc/PID/stat`, and the fourteenth and fifteenth in ticks: proc(5).
fn name_and_cpu(stat: &str) -> Option<(String, Duration)> {
    // The name may have spaces and parentheses.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.next()?.ok()?.saturating_add(ticks.next()?.ok()?);
    let a_second = sysconf(SysconfVar::CLK_TCK).ok()?.and_then(|ticks| u64::try_from(ticks).ok())?.max(1);
    Some((name, Duration::from_millis(ticks.saturating_mul(1000) / a_second)))
}

/// The second number of the line `Uid:` of `/proc/PID/status`.
fn effective_user(status: &str) -> Option<String> {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1).map(str::to_owned)
}

/// The arguments with spaces between; the name in brackets of a process that has none, as one that has ended.
fn command_line(arguments: &[u8], name: &str) -> String {
    let arguments: Vec<_> = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let line = arguments.join(" ");
    let line = line.trim_end();
    if line.is_empty() { format!("[{name}]") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_time() {
        let stat = "7 (a) S 1 (b)) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 5 6 7";
        let ticks = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
        let cpu = Duration::from_millis(200_000 / u64::try_from(ticks).unwrap());
        assert_eq!(name_and_cpu(stat), Some(("a) S 1 (b)".to_owned(), cpu)));
        assert_eq!(name_and_cpu("7 (torn"), None);
    }

    #[test]
    fn a_process_is_shown_by_its_arguments_or_its_name() {
        assert_eq!(command_line(b"sleep\0infinity\0", "sleep"), "sleep infinity");
        assert_eq!(command_line(b"", "sleep"), "[sleep]");
        assert_eq!(effective_user("Name:\tsh\nUid:\t0\t1000\t0\t0\n"), Some("1000".to_owned()));
    }
}
