//! Changing limits of a container that exists.

use bollard::models::{ContainerUpdateBody, HostConfig};
use homeostat_reconciler::{PortError, ResourceKey};
use homeostat_spec::Resources;

use crate::create::{CPU_PER_MILLI, CPU_PERIOD};
use crate::engine::Inner;

/// More memory than there is: no limit, in bytes. Zero would mean "as it was" to the API.
const NO_MEMORY_LIMIT: i64 = 1 << 62;
/// No limit, in words of the API.
const UNLIMITED: i64 = -1;

impl Inner {
    pub(crate) async fn update_container(
        &self,
        key: &ResourceKey,
        resources: &Resources,
    ) -> Result<(), PortError> {
        let what = || format!("limits of container {key} cannot be changed");
        let container = self.require(key, what()).await?;
        if container.observed.config.resources == *resources {
            return Ok(());
        }
        let wanted = limits(resources);
        let body = ContainerUpdateBody {
            memory: Some(wanted.memory.unwrap_or(NO_MEMORY_LIMIT)),
            memory_swap: Some(wanted.memory_swap.unwrap_or(NO_MEMORY_LIMIT)),
            cpu_period: Some(CPU_PERIOD),
            cpu_quota: Some(wanted.cpu_quota.unwrap_or(UNLIMITED)),
            pids_limit: wanted.pids_limit,
            ..ContainerUpdateBody::default()
        };
        let api = self.api().await.map_err(|failure| failure.about(what()))?;
        let done = self.answer(api.update_container(&container.observed.id, body)).await;
        self.cache().forget_container(&container.observed.id);
        done.map_err(|failure| failure.about(what()))
    }
}

/// Limits in the words of the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) memory: Option<i64>,
    /// Memory and swap together: the same, so that there is no swap beyond the limit.
    pub(crate) memory_swap: Option<i64>,
    pub(crate) cpu_period: Option<i64>,
    pub(crate) cpu_quota: Option<i64>,
    pub(crate) pids_limit: Option<i64>,
}

pub(crate) fn limits(resources: &Resources) -> Limits {
    let memory = resources.memory.map(|bytes| i64::try_from(bytes).unwrap_or(NO_MEMORY_LIMIT));
    let cpu_quota = resources.cpu_millis.map(|millis| i64::from(millis) * CPU_PER_MILLI);
    Limits {
        memory,
        memory_swap: memory,
        cpu_period: cpu_quota.map(|_| CPU_PERIOD),
        cpu_quota,
        // Without a word Podman takes a limit of its own.
        pids_limit: Some(resources.pids.map_or(UNLIMITED, i64::from)),
    }
}

/// The limits that a container has, as a spec writes them.
pub(crate) fn resources(host: &HostConfig) -> Resources {
    let limit = |told: Option<i64>| told.filter(|value| *value > 0 && *value < NO_MEMORY_LIMIT);
    let positive = |told: Option<i64>| told.filter(|value| *value > 0);
    let quota =
        positive(host.cpu_quota).map(|quota| quota * 1000 / positive(host.cpu_period).unwrap_or(CPU_PERIOD));
    let millis = quota.or_else(|| positive(host.nano_cpus).map(|nano| nano / 1_000_000));
    Resources {
        memory: limit(host.memory).and_then(|bytes| u64::try_from(bytes).ok()),
        cpu_millis: millis.and_then(|millis| u32::try_from(millis).ok()),
        pids: positive(host.pids_limit).and_then(|pids| u32::try_from(pids).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_were_asked_for() {
        let asked = Resources { memory: Some(64 << 20), cpu_millis: Some(1250), pids: Some(50) };
        let limits = limits(&asked);
        let host = HostConfig {
            memory: limits.memory,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            pids_limit: limits.pids_limit,
            ..HostConfig::default()
        };
        assert_eq!(resources(&host), asked);
        let by_hand = HostConfig { nano_cpus: Some(500_000_000), ..HostConfig::default() };
        assert_eq!(resources(&by_hand).cpu_millis, Some(500));
        let none = HostConfig {
            memory: Some(NO_MEMORY_LIMIT),
            cpu_quota: Some(UNLIMITED),
            pids_limit: Some(UNLIMITED),
            ..HostConfig::default()
        };
        assert_eq!(resources(&none), Resources::default());
    }
}
