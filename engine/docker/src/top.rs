//! Processes of containers, as the engine tells of them.

use std::time::Duration;

use bollard::query_parameters::TopOptionsBuilder;
use homeostat_reconciler::ports::ContainerProcess;
use homeostat_reconciler::{ContainerState, ErrorKind, PortError, ResourceKey};
use jiff::SignedDuration;

use crate::Flavour;
use crate::engine::Inner;

/// Docker runs `ps` on its host. Names of users are not cut off within this width.
const OF_DOCKER: &str = "-eo pid,user:32,cputimes,args";
/// Podman has columns of its own: these are what the host sees.
const OF_PODMAN: &str = "hpid,huser,time,args";

impl Inner {
    pub(crate) async fn processes(&self, key: &ResourceKey) -> Result<Vec<ContainerProcess>, PortError> {
        let what = || format!("the processes of container {key} are not known");
        let container = self.require(key, what()).await?;
        if container.observed.pid.is_none() {
            return Err(PortError::new(ErrorKind::User, format!("{}: it does not run", what())));
        }
        if self.flavour == Flavour::Podman && container.observed.state == ContainerState::Paused {
            let message = format!("{}: Podman tells none of a paused container", what());
            return Err(PortError::new(ErrorKind::User, message));
        }
        let columns = match self.flavour {
            Flavour::Docker => OF_DOCKER,
            Flavour::Podman => OF_PODMAN,
        };
        let options = TopOptionsBuilder::default().ps_args(columns).build();
        let asked = async {
            let api = self.api().await?;
            self.answer(api.top_processes(&container.observed.id, Some(options))).await
        };
        let told = asked.await.map_err(|failure| failure.about(what()))?;
        let mut processes: Vec<_> =
            told.processes.unwrap_or_default().iter().filter_map(|row| process(row)).collect();
        processes.sort_by_key(|process: &ContainerProcess| process.pid);
        Ok(processes)
    }
}

/// A row of the columns above. The command may come in pieces.
fn process(row: &[String]) -> Option<ContainerProcess> {
    let [pid, user, cpu, command @ ..] = row else { return None };
    Some(ContainerProcess {
        pid: pid.parse().ok()?,
        user: user.clone(),
        cpu: time(cpu)?,
        command: command.join(" "),
    })
}

/// CPU time: Docker's `ps` tells whole seconds, Podman as `1m2.5s`.
fn time(told: &str) -> Option<Duration> {
    let seconds = told.parse().map(Duration::from_secs);
    seconds.ok().or_else(|| told.parse::<SignedDuration>().ok()?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_process() {
        let row = |cells: &[&str]| process(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        let told = row(&["7", "root", "3", "sleep 9"]).unwrap();
        assert_eq!((told.pid, told.cpu, told.command.as_str()), (7, Duration::from_secs(3), "sleep 9"));
        assert_eq!(row(&["7", "root", "1m2.5s", "sh", "-c", "true"]).unwrap().command, "sh -c true");
        assert_eq!(row(&["PID"]), None);
    }

    #[test]
    fn times_are_those_of_ps_and_of_podman() {
        for (told, millis) in
            [("0", 0), ("75", 75_000), ("0s", 0), ("1.24s", 1240), ("1m2.5s", 62_500), ("250ms", 250)]
        {
            assert_eq!(time(told), Some(Duration::from_millis(millis)), "{told}");
        }
        assert_eq!(time("TIME"), None);
    }
}
