//! From a container as it is declared to what the engine is asked for.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount as ApiMount, MountType,
    NetworkingConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::ContainerRequest;
use homeostat_spec::{ContainerConfig, LogRotation, Mount, MountSource, NetworkMode, PublishedPort};

use crate::engine::Inner;
use crate::names::{CONFIG, IMAGE};

/// The kernel's usual period over which CPU time is counted, in microseconds.
pub(crate) const CPU_PERIOD: i64 = 100_000;
/// CPU time of a thousandth of a CPU in a period, in microseconds.
pub(crate) const CPU_PER_MILLI: i64 = CPU_PERIOD / 1000;
/// The log driver with files that rotate.
pub(crate) const LOG_DRIVER: &str = "json-file";

impl Inner {
    /// What the engine is asked for.
    pub(crate) fn body(&self, request: &ContainerRequest) -> Result<ContainerCreateBody, serde_json::Error> {
        let ContainerRequest { key, image, config, .. } = request;
        let mut labels = self.instance.labels(key, &config.labels);
        labels.insert(IMAGE.to_owned(), image.clone());
        labels.insert(CONFIG.to_owned(), serde_json::to_string(config)?);
        let exposed = config.ports.iter().map(api_port).collect();
        Ok(ContainerCreateBody {
            image: Some(image.clone()),
            entrypoint: config.entrypoint.clone(),
            cmd: config.command.clone(),
            env: Some(config.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
            hostname: Some(config.hostname.clone().unwrap_or_else(|| key.name.to_string())),
            exposed_ports: Some(exposed),
            labels: Some(labels),
            tty: Some(config.tty),
            open_stdin: Some(config.stdin_open),
            networking_config: self.networking(key, &config.network),
            host_config: Some(self.host_config(request)),
            ..ContainerCreateBody::default()
        })
    }

    fn host_config(&self, request: &ContainerRequest) -> HostConfig {
        let ContainerRequest { key, config, .. } = request;
        let resources = crate::update::limits(&config.resources);
        HostConfig {
            memory: resources.memory,
            memory_swap: resources.memory_swap,
            cpu_period: resources.cpu_period,
            cpu_quota: resources.cpu_quota,
            pids_limit: resources.pids_limit,
            mounts: Some(config.mounts.iter().map(|mount| self.api_mount(request, mount)).collect()),
            network_mode: Some(self.network_mode(key, &config.network)),
            port_bindings: Some(port_bindings(config)),
            readonly_rootfs: Some(config.read_only),
            security_opt: config.no_new_privileges.then(|| vec!["no-new-privileges".to_owned()]),
            cap_add: Some(config.cap_add.clone()),
            cap_drop: Some(config.cap_drop.clone()),
            log_config: Some(log_config(&config.log)),
            // Restarts are homeostat's: it knows back-off, dependencies and what is wanted now.
            restart_policy: Some(no_restart()),
            ..HostConfig::default()
        }
    }

    fn api_mount(&self, request: &ContainerRequest, mount: &Mount) -> ApiMount {
        let (typ, source) = match &mount.source {
            MountSource::Volume(name) => {
                let key = ResourceKey::new(request.key.app.clone(), name.clone());
                (MountType::VOLUME, Some(self.ledger.volume_name(&key)))
            }
            MountSource::Host(path) => (MountType::BIND, Some(path.clone())),
            MountSource::Source(file) => {
                (MountType::BIND, Some(request.files.join(&file.digest).to_string_lossy().into_owned()))
            }
            MountSource::Tmpfs => (MountType::TMPFS, None),
        };
        let read_only = mount.read_only || matches!(mount.source, MountSource::Source(_));
        ApiMount {
            target: Some(mount.target.clone()),
            source,
            typ: Some(typ),
            read_only: Some(read_only),
            ..ApiMount::default()
        }
    }

    /// The engine's word for what a container is connected to.
    pub(crate) fn network_mode(&self, key: &ResourceKey, network: &NetworkMode) -> String {
        match network {
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Bridge => self.instance.default_network(),
            NetworkMode::Named(name) => {
                self.ledger.network_name(&ResourceKey::new(key.app.clone(), name.clone()))
            }
        }
    }

    /// On a network of its app a container is known by its name; on the one that all apps share, where two may
    /// have the same, by `NAME.APP`.
    fn networking(&self, key: &ResourceKey, network: &NetworkMode) -> Option<NetworkingConfig> {
        let alias = match network {
            NetworkMode::Host | NetworkMode::None => return None,
            NetworkMode::Bridge => format!("{}.{}", key.name, key.app),
            NetworkMode::Named(_) => key.name.to_string(),
        };
        let endpoint = EndpointSettings { aliases: Some(vec![alias]), ..EndpointSettings::default() };
        let endpoints = HashMap::from([(self.network_mode(key, network), endpoint)]);
        Some(NetworkingConfig { endpoints_config: Some(endpoints) })
    }
}

/// The policy of a container that only homeostat starts again.
pub(crate) fn no_restart() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }
}

fn log_config(log: &LogRotation) -> HostConfigLogConfig {
    let options = [("max-size", log.max_size.to_string()), ("max-file", log.max_files.to_string())];
    HostConfigLogConfig {
        typ: Some(LOG_DRIVER.to_owned()),
        config: Some(options.map(|(name, value)| (name.to_owned(), value)).into()),
    }
}

/// `80/tcp`.
fn api_port(port: &PublishedPort) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn port_bindings(config: &ContainerConfig) -> PortMap {
    let mut bindings = PortMap::new();
    for port in &config.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.map(|ip| ip.to_string()).unwrap_or_default()),
            host_port: Some(port.host_port.to_string()),
        };
        bindings.entry(api_port(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}
