//! From what the engine tells of a container to a container as a spec would declare it.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerInspectResponse, ContainerState as ApiState, ContainerStateStatusEnum as Status, ImageInspect,
    MountPoint,
};
use homeostat_reconciler::{ContainerState, ExitStatus, ObservedContainer, ResourceKey};
use homeostat_spec::{ContainerConfig, Mount, MountSource, PublishedPort, SourcePath};
use jiff::Timestamp;

use crate::connect::connected_since;
use crate::containers::code_of_failed_start;
use crate::engine::Inner;
use crate::foreign::Foreign;
use crate::host_config::{capabilities, confinement, kernel, names, ports, rotation, same_ports};
use crate::names::{CONFIG, IMAGE, user_labels};
use crate::{Flavour, update};

/// The exit code of what was killed. Docker may hear of the out-of-memory killer only after the end that it has brought:
/// then its events tell of it, and the container's state never does.
const KILLED: i32 = 137;

/// A container as the engine tells of it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which of homeostat's it is, if it is one.
    pub(crate) key: Option<ResourceKey>,
    pub(crate) observed: ObservedContainer,
    /// The signal that asks it to end, if the image or its creator named one.
    pub(crate) stop_signal: Option<String>,
    pub(crate) is_adopted: bool,
    /// Its standard input ends with whoever has sent something and leaves.
    pub(crate) stdin_once: bool,
    pub(crate) foreign: Foreign,
}

/// What an image says of the containers that are created from it.
#[derive(Debug, Default)]
pub(crate) struct ImageDefaults {
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    env: BTreeMap<String, String>,
    working_dir: Option<String>,
    user: Option<String>,
    labels: HashMap<String, String>,
}

impl ImageDefaults {
    pub(crate) fn of(image: ImageInspect) -> Self {
        let config = image.config.unwrap_or_default();
        Self {
            entrypoint: words(config.entrypoint),
            command: words(config.cmd),
            env: variables(config.env),
            working_dir: text(config.working_dir),
            user: text(config.user),
            labels: config.labels.unwrap_or_default(),
        }
    }
}

impl Inner {
    /// What is told of a container, in the port's words.
    pub(crate) fn seen(&self, inspect: ContainerInspectResponse, image: &ImageDefaults) -> Seen {
        let labels = inspect.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let id = inspect.id.clone().unwrap_or_default();
        let adopted = self.ledger.container(&id);
        let is_adopted = adopted.is_some();
        let key = adopted.or_else(|| self.instance.owner(&labels));
        let actual = self.config(&inspect, image, key.as_ref());
        let asked = labels.get(CONFIG).and_then(|text| serde_json::from_str(text).ok());
        let config = match (&key, asked) {
            (Some(key), Some(asked)) => self.changed_since(asked, actual, image, key),
            _ => actual,
        };
        let reference = inspect.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
        let state = inspect.state.clone().unwrap_or_default();
        let (mut shown, mut exit) = run(&state, inspect.created.as_ref().map(ToString::to_string).as_deref());
        // Podman before 5 says nothing of a start that failed.
        if shown == ContainerState::Created
            && let Some(failed) = self.failed_start(&id)
        {
            (shown, exit) = (ContainerState::Exited, Some(failed));
        }
        let started_at = time(state.started_at.as_deref());
        if let Some(exit) = &mut exit {
            exit.oom_killed |= exit.code == Some(KILLED) && self.oom_killed_since(&id, started_at);
        }
        let foreign = if key.is_none() { Foreign::of(&inspect, self.flavour) } else { Foreign::default() };
        let lives = matches!(shown, ContainerState::Running | ContainerState::Paused);
        Seen {
            observed: ObservedContainer {
                started_at,
                image: labels.get(IMAGE).cloned().unwrap_or(reference),
                image_id: image_id(inspect.image.as_deref().unwrap_or_default()),
                state: shown,
                pid: state.pid.filter(|pid| lives && *pid > 0).and_then(|pid| pid.try_into().ok()),
                exit,
                address: address(&inspect).filter(|_| lives),
                ports: if lives { bound_ports(&inspect) } else { Vec::new() },
                config,
                id,
            },
            stdin_once: inspect.config.as_ref().and_then(|config| config.stdin_once).unwrap_or_default(),
            stop_signal: text(inspect.config.and_then(|config| config.stop_signal)),
            is_adopted,
            foreign,
            key,
        }
    }

    /// The configuration of a container as a spec would write it: what is as the image says is absent.
    fn config(
        &self,
        inspect: &ContainerInspectResponse,
        image: &ImageDefaults,
        key: Option<&ResourceKey>,
    ) -> ContainerConfig {
        let config = inspect.config.clone().unwrap_or_default();
        let host = inspect.host_config.clone().unwrap_or_default();
        let short_id: String = inspect.id.as_deref().unwrap_or_default().chars().take(12).collect();
        let own_name = key.map(|key| key.name.to_string());
        let hostname =
            text(config.hostname).filter(|name| *name != short_id && Some(name) != own_name.as_ref());
        let entrypoint = words(config.entrypoint).filter(|words| Some(words) != image.entrypoint.as_ref());
        // With an entrypoint of its own a container does not take the image's command.
        let of_image = image.command.as_ref().filter(|_| entrypoint.is_none());
        let mut mounts: Vec<Mount> = inspect
            .mounts
            .iter()
            .flatten()
            .filter_map(|mount| self.mount(mount, key))
            .chain(host.tmpfs.iter().flatten().map(|(target, _)| tmpfs(target)))
            .collect();
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        mounts.dedup_by(|a, b| a.target == b.target);
        let (network, networks) = self.connected(&host, inspect, key);
        ContainerConfig {
            command: words(config.cmd).filter(|words| Some(words) != of_image),
            entrypoint,
            env: self.asked_env(without(variables(config.env), &image.env)),
            working_dir: text(config.working_dir)
                .filter(|path| Some(path) != image.working_dir.as_ref())
                .filter(|path| self.flavour == Flavour::Docker || path != "/"),
            user: text(config.user).filter(|user| Some(user) != image.user.as_ref()),
            group_add: host.group_add.clone().unwrap_or_default(),
            hostname,
            labels: user_labels(&config.labels.unwrap_or_default(), &image.labels),
            ports: ports(host.port_bindings.as_ref()),
            publish_all: host.publish_all_ports.unwrap_or_default(),
            mounts,
            network,
            networks,
            resources: update::resources(&host),
            read_only: host.readonly_rootfs.unwrap_or_default(),
            no_new_privileges: host
                .security_opt
                .iter()
                .flatten()
                .any(|option| option.starts_with("no-new-privileges") && !option.ends_with("false")),
            cap_add: capabilities(host.cap_add.as_deref()),
            cap_drop: capabilities(host.cap_drop.as_deref()),
            tty: config.tty.unwrap_or_default(),
            stdin_open: config.open_stdin.unwrap_or_default(),
            log: rotation(&host),
            kernel: kernel(&host, self.flavour),
            names: names(&host),
            confinement: confinement(&host),
            init: host.init == Some(true),
        }
    }

    /// The environment without what Podman gives to every container.
    fn asked_env(&self, mut env: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if self.flavour == Flavour::Podman {
            env.retain(|name, value| {
                !matches!(
                    (name.as_str(), value.as_str()),
                    ("HOSTNAME", _) | ("TERM", "xterm") | ("container", "podman" | "oci")
                )
            });
        }
        env
    }

    /// What a container was created with, with what somebody has changed since then. What the engine only tells in
    /// other words than it was asked for is no change.
    fn changed_since(
        &self,
        asked: ContainerConfig,
        actual: ContainerConfig,
        image: &ImageDefaults,
        key: &ResourceKey,
    ) -> ContainerConfig {
        let told = as_told(&asked, image, key);
        let (network, networks) = connected_since(&asked, &actual);
        let mut config = ContainerConfig {
            resources: actual.resources,
            ports: if same_ports(&told, &actual.ports) { asked.ports.clone() } else { actual.ports },
            mounts: if self.same_mounts(&told, &actual.mounts) {
                asked.mounts.clone()
            } else {
                actual.mounts
            },
            network,
            networks,
            read_only: actual.read_only,
            ..asked
        };
        if self.flavour == Flavour::Docker {
            if told.entrypoint != actual.entrypoint || told.command != actual.command {
                (config.entrypoint, config.command) = (actual.entrypoint, actual.command);
            }
            if told.env != actual.env {
                config.env = actual.env;
            }
            if told.working_dir != actual.working_dir {
                config.working_dir = actual.working_dir;
            }
            if told.user != actual.user {
                config.user = actual.user;
            }
            if told.labels != actual.labels {
                config.labels = actual.labels;
            }
        }
        config
    }

    /// Whether the mounts are those that were asked for. To a root that is read-only Podman adds a few tmpfs of its own.
    fn same_mounts(&self, asked: &ContainerConfig, actual: &[Mount]) -> bool {
        let is_extra = |mount: &&Mount| {
            mount.source == MountSource::Tmpfs
                && asked.mounts.iter().all(|known| known.target != mount.target)
        };
        if self.flavour == Flavour::Podman && asked.read_only {
            let without: Vec<Mount> = actual.iter().filter(|mount| !is_extra(mount)).cloned().collect();
            return same_mounts(&asked.mounts, &without);
        }
        same_mounts(&asked.mounts, actual)
    }

    fn mount(&self, mount: &MountPoint, key: Option<&ResourceKey>) -> Option<Mount> {
        let target = mount.destination.clone()?;
        let read_only = mount.rw == Some(false);
        let source = match mount.typ.as_deref()? {
            "bind" => bind(mount.source.clone()?),
            "volume" => {
                let name = mount.name.as_deref().unwrap_or_default();
                let of_app = |volume: &ResourceKey| key.is_some_and(|key| key.app == volume.app);
                match self.ledger.volumes_called(name).into_iter().find(of_app) {
                    Some(volume) => MountSource::Volume(volume.name),
                    None if is_anonymous(name) => return None,
                    // A volume that no spec can name: shown by the place where the engine keeps it.
                    None => MountSource::Host(mount.source.clone().unwrap_or_else(|| name.to_owned())),
                }
            }
            "tmpfs" => return Some(tmpfs(&target)),
            _ => return None,
        };
        Some(Mount { source, target, read_only })
    }
}

/// A file of the source lies under its digest in a directory of that name.
fn bind(path: String) -> MountSource {
    let digest = path.rsplit('/').next().unwrap_or_default();
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        return MountSource::Source(SourcePath { path: String::new(), digest: digest.to_owned() });
    }
    MountSource::Host(path)
}

/// What [`Inner::config`] tells of a container that was created as asked.
fn as_told(asked: &ContainerConfig, image: &ImageDefaults, key: &ResourceKey) -> ContainerConfig {
    let entrypoint = asked.entrypoint.clone().filter(|words| !words.is_empty());
    let entrypoint = entrypoint.filter(|words| Some(words) != image.entrypoint.as_ref());
    let of_image = image.command.as_ref().filter(|_| entrypoint.is_none());
    let command = asked.command.clone().filter(|words| !words.is_empty() && Some(words) != of_image);
    ContainerConfig {
        entrypoint,
        command,
        env: without(asked.env.clone(), &image.env),
        working_dir: asked.working_dir.clone().filter(|path| Some(path) != image.working_dir.as_ref()),
        user: asked.user.clone().filter(|user| Some(user) != image.user.as_ref()),
        hostname: asked.hostname.clone().filter(|name| *name != key.name.to_string()),
        labels: user_labels(&asked.labels.clone().into_iter().collect(), &image.labels),
        ..asked.clone()
    }
}

/// Whether the same is mounted at the same places. The engine tells a file of the source as the path where it lies,
/// under its digest.
fn same_mounts(asked: &[Mount], actual: &[Mount]) -> bool {
    let same = |mount: &Mount| {
        let there = actual.iter().find(|there| there.target == mount.target);
        there.is_some_and(|there| match (&mount.source, &there.source) {
            (MountSource::Tmpfs | MountSource::TmpfsWith(_), MountSource::Tmpfs) => true,
            (MountSource::Source(asked), MountSource::Source(there)) => asked.digest == there.digest,
            (MountSource::Source(asked), MountSource::Host(path)) => path.ends_with(&asked.digest),
            (asked, source) => asked == source && mount.read_only == there.read_only,
        })
    };
    asked.len() == actual.len() && asked.iter().all(same)
}

/// The engines name volumes that nobody names with 64 hexadecimal digits.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn tmpfs(target: &str) -> Mount {
    Mount { source: MountSource::Tmpfs, target: target.to_owned(), read_only: false }
}

/// The state, and how the last run ended. A start that failed is a run that ended at once.
fn run(state: &ApiState, created: Option<&str>) -> (ContainerState, Option<ExitStatus>) {
    let exit = || ExitStatus {
        code: state.exit_code.and_then(|code| code.try_into().ok()),
        oom_killed: state.oom_killed.unwrap_or_default(),
        // Docker notes a start after it was made, and a run may be over by then.
        finished_at: time(state.finished_at.as_deref())
            .or_else(|| time(created))
            .max(time(state.started_at.as_deref()))
            .unwrap_or_default(),
        error: text(state.error.clone()),
    };
    match state.status.unwrap_or(Status::EMPTY) {
        Status::RUNNING | Status::RESTARTING | Status::STOPPING => (ContainerState::Running, None),
        Status::PAUSED => (ContainerState::Paused, None),
        Status::CREATED | Status::EMPTY => {
            let error = text(state.error.clone());
            let has_code = state.exit_code.unwrap_or_default() != 0;
            match error {
                // Podman 5 gives the reason for a start that failed, and 0 for its code.
                Some(error) if !has_code => {
                    let exit = ExitStatus { code: Some(code_of_failed_start(&error)), ..exit() };
                    (ContainerState::Exited, Some(exit))
                }
                None if !has_code => (ContainerState::Created, None),
                _ => (ContainerState::Exited, Some(exit())),
            }
        }
        Status::EXITED | Status::DEAD | Status::REMOVING => (ContainerState::Exited, Some(exit())),
    }
}

/// The address on the network that the container was created for.
fn address(inspect: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    let networks = inspect.network_settings.as_ref()?.networks.as_ref()?;
    let mode = inspect.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default();
    let of_mode = networks.get(mode);
    let told =
        of_mode.into_iter().chain(networks.values()).find_map(|end| end.ip_address.as_deref()?.parse().ok());
    told.filter(|address: &Ipv4Addr| !address.is_unspecified())
}

/// The ports of the host that lead to it.
fn bound_ports(inspect: &ContainerInspectResponse) -> Vec<PublishedPort> {
    let bound = inspect.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    ports(bound)
}

/// With the algorithm, which Podman leaves out.
pub(crate) fn image_id(id: &str) -> String {
    if id.is_empty() || id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }
}

pub(crate) fn time(told: Option<&str>) -> Option<Timestamp> {
    // What has not happened is told as the first second of the year 1.
    told.filter(|text| !text.starts_with("0001-")).and_then(|text| text.parse().ok())
}

fn text(told: Option<String>) -> Option<String> {
    told.filter(|text| !text.is_empty())
}

fn words(told: Option<Vec<String>>) -> Option<Vec<String>> {
    told.filter(|words| !words.is_empty())
}

fn variables(told: Option<Vec<String>>) -> BTreeMap<String, String> {
    let pair = |variable: String| {
        let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
        (name.to_owned(), value.to_owned())
    };
    told.unwrap_or_default().into_iter().map(pair).collect()
}

fn without(
    mut env: BTreeMap<String, String>,
    of_image: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    env.retain(|name, value| of_image.get(name) != Some(value));
    env
}
