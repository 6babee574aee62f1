//! From a container as it is declared to what the engine is asked for.

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigLogConfig, Mount as ApiMount,
    MountTmpfsOptions, MountType, PortBinding, PortMap, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use homeostat_reconciler::ResourceKey;
use homeostat_reconciler::ports::ContainerRequest;
use homeostat_spec::{
    ContainerConfig, Device, Kernel, LogRotation, Mount, MountSource, PublishedPort, TmpfsOptions, Ulimit,
};

use crate::Flavour;
use crate::engine::Inner;
use crate::names::{CONFIG, IMAGE};

/// The kernel's usual period over which CPU time is counted, in microseconds.
pub(crate) const CPU_PERIOD: i64 = 100_000;
/// CPU time of a thousandth of a CPU in a period, in microseconds.
pub(crate) const CPU_PER_MILLI: i64 = CPU_PERIOD / 1000;
/// The option that allows every system call.
pub(crate) const SECCOMP_UNCONFINED: &str = "seccomp=unconfined";
/// Podman's option that hides nothing of `/proc` and `/sys`.
pub(crate) const UNMASK_ALL: &str = "unmask=ALL";
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
            stdin_once: Some(request.attended && config.stdin_open),
            networking_config: self.first_network(key, config),
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
            publish_all_ports: Some(config.publish_all),
            group_add: Some(config.group_add.clone()),
            init: config.init.then_some(true),
            extra_hosts: Some(config.names.extra_hosts.iter().map(ToString::to_string).collect()),
            dns: Some(config.names.servers.iter().map(ToString::to_string).collect()),
            dns_search: Some(config.names.search.clone()),
            dns_options: Some(config.names.options.clone()),
            ulimits: Some(ulimits(&config.kernel)),
            devices: Some(config.kernel.devices.iter().map(api_device).collect()),
            sysctls: Some(config.kernel.sysctls.clone().into_iter().collect()),
            shm_size: config.kernel.shm_size.and_then(|bytes| bytes.try_into().ok()),
            readonly_rootfs: Some(config.read_only),
            security_opt: Some(self.security_options(config)),
            masked_paths: unconfined_paths(config),
            readonly_paths: unconfined_paths(config),
            cap_add: Some(config.cap_add.clone()),
            cap_drop: Some(config.cap_drop.clone()),
            log_config: Some(log_config(&config.log)),
            // Restarts are homeostat's: it knows back-off, dependencies and what is wanted now.
            restart_policy: Some(no_restart()),
            ..HostConfig::default()
        }
    }

    fn security_options(&self, config: &ContainerConfig) -> Vec<String> {
        // Podman has a word for what Docker takes as lists of paths.
        let unmask = !config.confinement.system_paths.is_default() && self.flavour == Flavour::Podman;
        let options = [
            (config.no_new_privileges, "no-new-privileges"),
            (!config.confinement.seccomp.is_default(), SECCOMP_UNCONFINED),
            (unmask, UNMASK_ALL),
        ];
        options.into_iter().filter(|(asked, _)| *asked).map(|(_, option)| option.to_owned()).collect()
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
            MountSource::Tmpfs | MountSource::TmpfsWith(_) => (MountType::TMPFS, None),
        };
        let read_only = mount.read_only || matches!(mount.source, MountSource::Source(_));
        ApiMount {
            target: Some(mount.target.clone()),
            source,
            typ: Some(typ),
            read_only: Some(read_only),
            tmpfs_options: tmpfs_options(&mount.source),
            ..ApiMount::default()
        }
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

fn ulimits(kernel: &Kernel) -> Vec<ResourcesUlimits> {
    // No limit is -1 in words of the API.
    let number = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let ulimit = |(name, limit): (&String, &Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(number(limit.soft)),
        hard: Some(number(limit.hard)),
    };
    kernel.ulimits.iter().map(ulimit).collect()
}

fn api_device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.host.clone()),
        path_in_container: Some(device.container.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

/// No path at all; what the engine usually hides, or makes read-only, when nothing is said.
fn unconfined_paths(config: &ContainerConfig) -> Option<Vec<String>> {
    (!config.confinement.system_paths.is_default()).then(Vec::new)
}

fn tmpfs_options(source: &MountSource) -> Option<MountTmpfsOptions> {
    let MountSource::TmpfsWith(TmpfsOptions { size, mode }) = source else { return None };
    Some(MountTmpfsOptions {
        size_bytes: size.and_then(|size| size.try_into().ok()),
        mode: mode.map(i64::from),
        ..MountTmpfsOptions::default()
    })
}

/// Nothing where the engine chooses.
fn host_port(port: &PublishedPort) -> String {
    match (port.host_port, port.host_port_last) {
        (0, _) => String::new(),
        (first, None) => first.to_string(),
        (first, Some(last)) => format!("{first}-{last}"),
    }
}

fn port_bindings(config: &ContainerConfig) -> PortMap {
    let mut bindings = PortMap::new();
    for port in &config.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.map(|ip| ip.to_string()).unwrap_or_default()),
            host_port: Some(host_port(port)),
        };
        bindings.entry(api_port(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}
