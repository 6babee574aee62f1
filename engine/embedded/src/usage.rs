//! What containers use.

use std::collections::BTreeMap;

use fs_err as fs;
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{Traffic, Usage};
use homeostat_spec::NetworkMode;

use crate::container::{Container, Run};
use crate::engine::Inner;

impl Inner {
    /// What the containers that run use.
    pub(crate) fn usage(&self) -> BTreeMap<ResourceKey, Usage> {
        let mut usage = BTreeMap::new();
        for container in self.containers() {
            if !container.runs_now() {
                continue;
            }
            match container.cgroup.usage() {
                Ok(now) => {
                    let network = network(&container);
                    usage.insert(container.key.clone(), Usage { network, ..convert(&now) });
                }
                // Mostly the run ends at this moment.
                Err(error) => tracing::debug!(container = %container.key, %error, "its usage is not known"),
            }
        }
        usage
    }
}

/// What went over the interfaces of a container that has some of its own.
fn network(container: &Container) -> Option<Traffic> {
    let first = {
        let state = container.lock();
        match (&state.run, &state.record.config.network) {
            (Run::Live(live), NetworkMode::Bridge | NetworkMode::Named(_)) => live.state.init.pid,
            _ => return None,
        }
    };
    fs::read_to_string(format!("/proc/{first}/net/dev")).ok().map(|text| traffic(&text))
}

/// The sum over all interfaces but loopback, see proc(5): after its name an interface has eight columns of what it has
/// received, bytes first, then those of what it has sent.
fn traffic(interfaces: &str) -> Traffic {
    let mut sum = Traffic::default();
    for (name, columns) in interfaces.lines().filter_map(|line| line.split_once(':')) {
        let columns: Vec<u64> = columns.split_whitespace().map_while(|column| column.parse().ok()).collect();
        if name.trim() != "lo" {
            sum.input += columns.first().unwrap_or(&0);
            sum.output += columns.get(8).unwrap_or(&0);
        }
    }
    sum
}

fn convert(usage: &homeostat_monitor::cgroup::Usage) -> Usage {
    Usage {
        cpu: usage.cpu,
        memory_working_set: usage.memory_working_set,
        memory_usage: usage.memory_usage,
        memory_limit: usage.memory_limit,
        oom_kills: usage.oom_kills,
        pids: usage.pids,
        network: None,
        block: usage.block.map(|(input, output)| Traffic { input, output }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_does_not_count() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
            lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0\n  \
            eth0:     700       7    0    0    0     0          0         0       90       1    0    0    0     0       0          0\n  \
            eth1:1        1    0    0    0     0          0         0        2       1    0    0    0     0       0          0\n";
        assert_eq!(traffic(text), Traffic { input: 701, output: 92 });
        assert_eq!(traffic(""), Traffic::default());
    }
}
