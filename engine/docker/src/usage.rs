//! What containers use.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{ContainerBlkioStatEntry, ContainerNetworkStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::stream::{self, StreamExt as _};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::{Traffic, Usage};

use crate::engine::Inner;
use crate::failure::Failure;

/// So many containers are asked about at once.
const AT_ONCE: usize = 8;

impl Inner {
    pub(crate) async fn usage(&self) -> Result<BTreeMap<ResourceKey, Usage>, Failure> {
        let containers = self.observe_containers().await?;
        let running = containers.into_iter().filter(|(_, container)| container.pid.is_some());
        let told = stream::iter(running)
            .map(|(key, container)| async move {
                let usage = self.usage_of(&container.id).await;
                // For a container without a limit the engines tell the memory of the host.
                let memory_limit = container.config.resources.memory;
                usage.map(|usage| {
                    (key, Usage { memory_limit, oom_kills: self.oom_kills(&container.id).count, ..usage })
                })
            })
            .buffer_unordered(AT_ONCE);
        // Of one that ends at this moment nothing is told.
        Ok(told.filter_map(|told| async { told.ok() }).collect().await)
    }

    async fn usage_of(&self, id: &str) -> Result<Usage, Failure> {
        let api = self.api().await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let first = async {
            api.stats(id, Some(options)).next().await.unwrap_or_else(|| Ok(ContainerStatsResponse::default()))
        };
        Ok(convert(&self.answer(first).await?))
    }
}

fn convert(told: &ContainerStatsResponse) -> Usage {
    let memory = told.memory_stats.clone().unwrap_or_default();
    let stats = memory.stats.unwrap_or_default();
    // cgroup v1 and v2 have names of their own for pages that were not used lately.
    let inactive = ["total_inactive_file", "inactive_file"].iter().find_map(|name| stats.get(*name)).copied();
    let usage = memory.usage.unwrap_or_default();
    let cpu = told.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    Usage {
        cpu: Duration::from_nanos(cpu.unwrap_or_default()),
        memory_working_set: usage.saturating_sub(inactive.unwrap_or_default()),
        memory_usage: usage,
        network: told.networks.as_ref().filter(|networks| !networks.is_empty()).map(network),
        block: told
            .blkio_stats
            .as_ref()
            .and_then(|block| block.io_service_bytes_recursive.as_deref())
            .map(block),
        pids: told.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
        ..Usage::default()
    }
}

/// The sum over all interfaces. The engines leave loopback out.
fn network(interfaces: &HashMap<String, ContainerNetworkStats>) -> Traffic {
    let sum = |bytes: fn(&ContainerNetworkStats) -> Option<u64>| interfaces.values().filter_map(bytes).sum();
    Traffic { input: sum(|interface| interface.rx_bytes), output: sum(|interface| interface.tx_bytes) }
}

/// The sum over all devices. With cgroup v1 the engines say `Read`, with v2 `read`.
fn block(entries: &[ContainerBlkioStatEntry]) -> Traffic {
    let sum = |operation: &str| {
        let is_meant = |entry: &&ContainerBlkioStatEntry| {
            entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(operation))
        };
        entries.iter().filter(is_meant).filter_map(|entry| entry.value).sum()
    };
    Traffic { input: sum("read"), output: sum("write") }
}
