//! `[container.*]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Lowering;
use crate::file::{
    AdoptValue, Command, ContainerTable, HealthTable, LogTable, MOST_PORTS, ResourcesTable, StopTable,
};
use crate::problem::Problem;
use crate::{
    Confinement, Container, ContainerConfig, DesiredState, HealthCheck, LogRotation, Name, NetworkMode,
    Probe, PublishedPort, Resources, RestartPolicy, StopPolicy,
};

/// Defaults of the field: Kubernetes probes, Docker's grace period.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
const HEALTH_RETRIES: u32 = 3;
const STOP_GRACE: Duration = Duration::from_secs(10);

impl Lowering<'_> {
    pub(super) fn containers(&mut self) -> BTreeMap<Name, Container> {
        let mut containers = BTreeMap::new();
        for (name, table) in self.file.container.iter() {
            if let Some(container) = self.container(&name, table) {
                containers.insert(name, container);
            }
        }
        containers
    }

    fn container(&mut self, name: &Name, table: &ContainerTable) -> Option<Container> {
        let image = self.container_image(name.as_str(), &table.image);
        self.pull_policy(name.as_str(), table);
        let config = self.config(name.as_str(), table);
        let defaults = &self.policy.defaults;
        Some(Container {
            state: table.state.unwrap_or(DesiredState::Running),
            restart: table.restart.or(defaults.restart).unwrap_or(RestartPolicy::Always),
            stop: stop(&table.stop, &defaults.stop),
            pull: table.pull.unwrap_or_default(),
            depends_on: self.depends_on(name.as_str()),
            health: self.health(name.as_str(), table, &config.network),
            config,
            image: image?,
            adopt: table.adopt.as_ref().and_then(AdoptValue::adopt),
        })
    }

    /// An image that is built is no registry's.
    fn pull_policy(&mut self, name: &str, table: &ContainerTable) {
        let image = self.file.image.as_written().get(table.image.as_str());
        if table.pull.is_some() && image.is_some_and(|image| image.build.is_some()) {
            let problem =
                Problem::new(format!("`pull` is for images of registries, and `{}` is built", table.image))
                    .hint("leave `pull` out: an image is built again when its context changes");
            self.document.error_at(&["container", name, "pull"], problem);
        }
    }

    fn config(&mut self, name: &str, table: &ContainerTable) -> ContainerConfig {
        let defaults = &self.policy.defaults;
        self.capabilities(name, table);
        let (network, networks) = self.container_networks(name);
        ContainerConfig {
            kernel: self.kernel(name, table, &network),
            names: self.names(name, table, &network),
            confinement: Confinement {
                seccomp: table.seccomp.unwrap_or_default(),
                system_paths: table.system_paths.unwrap_or_default(),
            },
            init: table.init,
            entrypoint: table.entrypoint.as_ref().map(Command::arguments),
            command: table.command.as_ref().map(Command::arguments),
            env: table.env.as_written().clone(),
            working_dir: table.working_dir.as_ref().map(|path| path.0.0.clone()),
            user: table.user.as_ref().map(|user| user.0.0.clone()),
            group_add: sorted(table.group_add.iter().map(|(_, group)| &group.0.0)),
            hostname: table.hostname.as_ref().map(|hostname| hostname.0.0.clone()),
            labels: table.labels.as_written().clone(),
            ports: self.ports(name, table),
            publish_all: table.publish_all,
            mounts: self.mounts(name),
            network,
            networks,
            resources: resources(&table.resources, &defaults.resources),
            read_only: table.read_only,
            no_new_privileges: table.no_new_privileges,
            cap_add: sorted(table.cap_add.iter().map(|(_, capability)| &capability.0.0)),
            cap_drop: sorted(table.cap_drop.iter().map(|(_, capability)| &capability.0.0)),
            tty: table.tty,
            stdin_open: table.stdin_open,
            log: log(&table.log, &defaults.log),
        }
    }

    /// Sorted, so that another order in the file is no change.
    fn ports(&mut self, name: &str, table: &ContainerTable) -> Vec<PublishedPort> {
        if table.publishes_too_many() {
            let problem = Problem::new(format!("more than {MOST_PORTS} ports are published"))
                .hint("a container with `network = \"host\"` has all ports of the host");
            self.document.error_at(&["container", name, "ports"], problem);
            return Vec::new();
        }
        let mut ports: Vec<_> = table.ports.iter().flat_map(|(_, range)| range.0.ports()).collect();
        ports.sort();
        ports
    }

    /// A capability cannot be added and dropped.
    fn capabilities(&mut self, name: &str, table: &ContainerTable) {
        let added: BTreeSet<_> = table.cap_add.iter().map(|(_, capability)| &capability.0.0).collect();
        for (index, capability) in
            table.cap_drop.iter().filter(|(_, capability)| added.contains(&capability.0.0))
        {
            let problem = Problem::new(format!("`{}` is added and dropped", capability.0.0))
                .hint("take it out of `cap_add` or `cap_drop`");
            self.document.error_at(&["container", name, "cap_drop", &index.to_string()], problem);
        }
    }

    fn health(&mut self, name: &str, table: &ContainerTable, network: &NetworkMode) -> Option<HealthCheck> {
        let health = table.health.as_ref()?;
        let probe = self.probe(name, health)?;
        if *network == NetworkMode::None && !matches!(probe, Probe::Command(_)) {
            let problem =
                Problem::new("a container with `network = \"none\"` cannot be reached by a health check")
                    .hint("use `command`, which runs inside the container");
            self.document.error_at(&["container", name, "health"], problem);
        }
        Some(HealthCheck {
            probe,
            interval: health.interval.as_ref().map_or(HEALTH_INTERVAL, |interval| interval.0.0),
            timeout: health.timeout.as_ref().map_or(HEALTH_TIMEOUT, |timeout| timeout.0.0),
            retries: health.retries.unwrap_or(HEALTH_RETRIES),
            start_period: health.start_period.as_ref().map_or(Duration::ZERO, |period| period.0.0),
        })
    }

    fn probe(&mut self, name: &str, health: &HealthTable) -> Option<Probe> {
        if let Some(http) = &health.http {
            return Some(Probe::Http { port: http.port, path: http.path.clone() });
        }
        if let Some(tcp) = &health.tcp {
            return Some(Probe::Tcp { port: tcp.0.0 });
        }
        let command = health.command.as_ref()?.arguments();
        if command.is_empty() {
            let problem =
                Problem::new("the command of the health check is empty").hint("write the program to run");
            self.document.error_at(&["container", name, "health", "command"], problem);
        }
        Some(Probe::Command(command))
    }
}

fn sorted<'a>(words: impl Iterator<Item = &'a String>) -> Vec<String> {
    words.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn stop(table: &StopTable, defaults: &StopTable) -> StopPolicy {
    StopPolicy {
        signal: table.signal.as_ref().or(defaults.signal.as_ref()).map(|signal| signal.0.0.clone()),
        grace: table.grace.as_ref().or(defaults.grace.as_ref()).map_or(STOP_GRACE, |grace| grace.0.0),
    }
}

fn log(table: &LogTable, defaults: &LogTable) -> LogRotation {
    let standard = LogRotation::default();
    LogRotation {
        max_size: table
            .max_size
            .as_ref()
            .or(defaults.max_size.as_ref())
            .map_or(standard.max_size, |size| size.bytes),
        max_files: table.max_files.or(defaults.max_files).unwrap_or(standard.max_files),
    }
}

fn resources(table: &ResourcesTable, defaults: &ResourcesTable) -> Resources {
    Resources {
        memory: table.memory.as_ref().or(defaults.memory.as_ref()).map(|memory| memory.bytes),
        cpu_millis: table.cpus.or(defaults.cpus).map(cpu_millis),
        pids: table.pids.or(defaults.pids),
    }
}

/// Thousandths of a CPU; the schema bounds `cpus` to 0.01 to 1024.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn cpu_millis(cpus: f64) -> u32 {
    (cpus * 1000.0).round() as u32
}
