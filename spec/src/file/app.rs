//! The file of one app.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AdoptValue, LogTable, ResourcesTable, StopTable};
use crate::scalar::{
    AddedCapability, Alias, ArgumentName, Bytes, ContainerPath, ContextPath, DockerfilePath,
    DroppedCapability, EnvironmentName, Group, HostPath, Hostname, HttpEndpoint, ImageReference, Interval,
    Keyed, LabelKey, List, NameServer, NetworkName, PortRange, ResolverOption, SearchDomain, SecretId,
    ShmSize, StartPeriod, Subnet, SysctlName, TcpEndpoint, Text, Timeout, TmpfsMount, UlimitName, User,
    VolumeMount,
};
use crate::{
    DependencyCondition, DesiredState, Device, ExtraHost, Name, Profile, PullPolicy, RestartPolicy, Ulimit,
};

/// One app of Homeostat, named after the file. `${NAME}` in any string value is replaced by
/// the variable of that name, `$${` is a literal `${`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Homeostat app")]
pub(crate) struct AppFile {
    /// What is true of the app as a whole.
    pub(crate) app: AppTable,
    /// Images that containers of this app name by their key.
    pub(crate) image: Keyed<Name, ImageTable>,
    /// Containers, by name.
    pub(crate) container: Keyed<Name, ContainerTable>,
    /// Named volumes, by name.
    pub(crate) volume: Keyed<Name, VolumeTable>,
    /// Bridge networks of the app, by name.
    pub(crate) network: Keyed<Name, NetworkTable>,
}

/// What is true of the app as a whole.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AppTable {
    /// Free text for people.
    pub(crate) description: Option<String>,
}

/// An image: either built on this host or named by reference.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{ "required": ["build"] }, { "required": ["reference"] }]))]
pub(crate) struct ImageTable {
    /// Built from a Dockerfile.
    pub(crate) build: Option<BuildTable>,
    /// A reference such as `docker.io/library/postgres:16`.
    pub(crate) reference: Option<Text<ImageReference>>,
}

/// How an image is built.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildTable {
    /// The directory that is the build context, relative to this file.
    pub(crate) context: Text<ContextPath>,
    /// Path of the Dockerfile, relative to the context. Default: `Dockerfile`.
    pub(crate) dockerfile: Option<Text<DockerfilePath>>,
    /// Values for the Dockerfile's `ARG` instructions.
    #[serde(default)]
    pub(crate) args: Keyed<ArgumentName, String>,
    /// The stage to stop at. Default: the last one.
    #[schemars(length(min = 1, max = 128))]
    pub(crate) target: Option<String>,
    /// Secrets for `RUN --mount=type=secret`: ids, and absolute paths of files of this host.
    #[serde(default)]
    pub(crate) secrets: Keyed<SecretId, Text<HostPath>>,
    /// Agents for SSH keys for `RUN --mount=type=ssh`: ids (usually `default`), and absolute paths of their sockets on
    /// this host.
    #[serde(default)]
    pub(crate) ssh: Keyed<SecretId, Text<HostPath>>,
}

/// One container.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainerTable {
    /// The image to run: an `[image.*]` of this file, or a reference such as `ghcr.io/acme/web:1.4`.
    #[schemars(length(min = 1, max = 1024))]
    pub(crate) image: String,
    /// The state the container is wanted in. Default: `running`.
    pub(crate) state: Option<DesiredState>,
    /// When the image is pulled: `missing`, `always` or `never`. Default: `missing`.
    pub(crate) pull: Option<PullPolicy>,
    /// Replaces the image's `ENTRYPOINT`. A plain string is run by `/bin/sh -c`.
    pub(crate) entrypoint: Option<Command>,
    /// Replaces the image's `CMD`. A plain string is run by `/bin/sh -c`.
    pub(crate) command: Option<Command>,
    /// Environment variables, added to the image's.
    #[serde(default)]
    pub(crate) env: Keyed<EnvironmentName, String>,
    /// Working directory inside the container. Default: as the image says.
    pub(crate) working_dir: Option<Text<ContainerPath>>,
    /// `UID`, `UID:GID`, `USER` or `USER:GROUP`. Default: as the image says.
    pub(crate) user: Option<Text<User>>,
    /// Names or numbers of groups beside those that the user has in the image.
    #[serde(default)]
    pub(crate) group_add: List<Text<Group>>,
    /// Host name inside the container. Default: the container's name.
    pub(crate) hostname: Option<Text<Hostname>>,
    /// Labels of the container.
    #[serde(default)]
    pub(crate) labels: Keyed<LabelKey, String>,
    /// Ports published on the host: `[IP:][HOST:]CONTAINER[/udp]`, each a port or a range. Without a port of the host
    /// the engine chooses one, and of a range for one port of the container a free one.
    #[serde(default)]
    pub(crate) ports: List<Text<PortRange>>,
    /// Publish every other port that the image exposes too, each on a port that the engine chooses. Default: `false`.
    #[serde(default)]
    pub(crate) publish_all: bool,
    /// Mounts `SOURCE:TARGET[:ro]` of a `[volume.*]`, of a path of the host (`/host`), or read-only of
    /// a file or directory beside this file (`./conf`).
    #[serde(default)]
    pub(crate) volumes: List<Text<VolumeMount>>,
    /// Paths inside the container at which an empty file system in memory is mounted: `PATH[:size=SIZE,mode=MODE]`.
    #[serde(default)]
    pub(crate) tmpfs: List<Text<TmpfsMount>>,
    /// `bridge`, `host`, `none`, or a `[network.*]` of this file. Default: `bridge`.
    pub(crate) network: Option<Text<NetworkName>>,
    /// Networks of this file that the container is on, each a `[network.*]`, and how. `network` names the one that leads out;
    /// default: the first by name that is not internal.
    #[serde(default)]
    pub(crate) networks: Keyed<Name, EndpointTable>,
    /// When the container is started again after it exited. Default: `always`.
    pub(crate) restart: Option<RestartPolicy>,
    /// Containers of this file that are waited for before this one is started.
    #[serde(default)]
    pub(crate) depends_on: Keyed<Name, DependencyCondition>,
    /// How to tell whether the container works.
    pub(crate) health: Option<HealthTable>,
    /// Limits.
    #[serde(default)]
    pub(crate) resources: ResourcesTable,
    /// How the container is stopped.
    #[serde(default)]
    pub(crate) stop: StopTable,
    /// Mount the root file system read-only. Default: `false`.
    #[serde(default)]
    pub(crate) read_only: bool,
    /// Set the kernel's `no_new_privs` bit: set-uid programs gain nothing. Default: `false`.
    #[serde(default)]
    pub(crate) no_new_privileges: bool,
    /// Linux capabilities added to the default set.
    #[serde(default)]
    pub(crate) cap_add: List<Text<AddedCapability>>,
    /// Linux capabilities removed from the default set; `ALL` removes every one.
    #[serde(default)]
    pub(crate) cap_drop: List<Text<DroppedCapability>>,
    /// Give the program a terminal. Default: `false`.
    #[serde(default)]
    pub(crate) tty: bool,
    /// Keep the program's standard input open for whoever attaches. Default: `false`.
    #[serde(default)]
    pub(crate) stdin_open: bool,
    /// Rotation of the container's log.
    #[serde(default)]
    pub(crate) log: LogTable,
    /// Limits of each process, as `nofile = "1024:4096"`: the soft and the hard one, or one number for both.
    #[serde(default)]
    pub(crate) ulimits: Keyed<UlimitName, UlimitValue>,
    /// Parameters of the kernel that the container has of its own, as `"net.core.somaxconn" = "1024"`.
    #[serde(default)]
    pub(crate) sysctls: Keyed<SysctlName, String>,
    /// Size of `/dev/shm`: a size such as `128MiB`, or a number of bytes. Default: `64MiB`.
    pub(crate) shm_size: Option<Bytes<ShmSize>>,
    /// System calls: `default` or `unconfined`. Default: `default`, those that Docker allows.
    pub(crate) seccomp: Option<Profile>,
    /// Parts of `/proc` and `/sys` that tell about, or change, the host: `default` hides them or makes them read-only, with
    /// `unconfined` they are as the kernel has them.
    pub(crate) system_paths: Option<Profile>,
    /// Devices of the host: `HOST[:CONTAINER][:PERMISSIONS]`, permissions some of `rwm`.
    #[serde(default)]
    pub(crate) devices: List<Text<Device>>,
    /// Lines of `/etc/hosts`: `NAME:ADDRESS`, or `NAME:host-gateway` for the host on the container's network.
    #[serde(default)]
    pub(crate) extra_hosts: List<Text<ExtraHost>>,
    /// Name servers in place of the host's.
    #[serde(default)]
    pub(crate) dns: List<Text<NameServer>>,
    /// Domains to search in place of the host's; `.` alone is none.
    #[serde(default)]
    pub(crate) dns_search: List<Text<SearchDomain>>,
    /// Options of resolv.conf(5) in place of the host's, as `ndots:2`.
    #[serde(default)]
    pub(crate) dns_options: List<Text<ResolverOption>>,
    /// Run an init as the first process: it starts the program, passes signals on to it, and takes in processes that nobody
    /// waits for. Default: `false`.
    #[serde(default)]
    pub(crate) init: bool,
    /// Take over the container that was made by hand or by Compose: `true` for the one with the usual name, or the name that
    /// the engine has for it. Default: `false`.
    pub(crate) adopt: Option<AdoptValue>,
}

/// The most ports that a container publishes: each takes a socket of the host.
pub(crate) const MOST_PORTS: usize = 1000;

impl ContainerTable {
    /// Whether it publishes more than [`MOST_PORTS`].
    pub(crate) fn publishes_too_many(&self) -> bool {
        self.ports.iter().map(|(_, range)| usize::from(range.0.count)).sum::<usize>() > MOST_PORTS
    }
}

/// A limit of a process.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum UlimitValue {
    /// The soft and the hard limit.
    Number(u32),
    /// `SOFT:HARD`, or one for both.
    Text(Text<Ulimit>),
}

impl UlimitValue {
    /// As the model has it.
    pub(crate) fn limit(&self) -> Ulimit {
        match self {
            Self::Number(number) => Ulimit { soft: Some((*number).into()), hard: Some((*number).into()) },
            Self::Text(limit) => limit.0,
        }
    }
}

/// A program and its arguments, or a line for the shell.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Command {
    /// A line that `/bin/sh -c` runs.
    Shell(#[schemars(length(min = 1))] String),
    /// The program and its arguments.
    Arguments(List<String>),
}

impl Command {
    /// The program and its arguments; a line is given to the shell as Docker's shell form does.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Arguments(arguments) => arguments.iter().map(|(_, argument)| argument.clone()).collect(),
        }
    }
}

/// How to tell whether a container works: exactly one of `http`, `tcp` and `command`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["http"] }, { "required": ["tcp"] }, { "required": ["command"] }]))]
pub(crate) struct HealthTable {
    /// `GET` of a path on a port of the container's own address; 200 to 399 is healthy.
    pub(crate) http: Option<Text<HttpEndpoint>>,
    /// A TCP connection to a port of the container's own address.
    pub(crate) tcp: Option<Text<TcpEndpoint>>,
    /// A command run inside the container; exit code 0 is healthy.
    pub(crate) command: Option<Command>,
    /// Time between the end of one probe and the start of the next. Default: `10s`.
    pub(crate) interval: Option<Text<Interval>>,
    /// A probe that takes longer has failed. Default: `1s`.
    pub(crate) timeout: Option<Text<Timeout>>,
    /// So many failures in a row make the container unhealthy. Default: 3.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) retries: Option<u32>,
    /// Failures in this time after the start do not count. Default: `0s`.
    pub(crate) start_period: Option<Text<StartPeriod>>,
}

/// A named volume.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeTable {
    /// Keep the volume and its content when it is no longer declared. Default: `true`.
    pub(crate) retain: Option<bool>,
    /// Take over the volume that was made by hand or by Compose: `true` for `APP_NAME`, or the name that the engine has
    /// for it. Default: `false`.
    pub(crate) adopt: Option<AdoptValue>,
    /// Labels of the volume.
    #[serde(default)]
    pub(crate) labels: Keyed<LabelKey, String>,
}

/// How a container is on a network.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EndpointTable {
    /// Names by which containers of the network find it beside its own.
    pub(crate) aliases: List<Text<Alias>>,
    /// Its address on the network, which has to have a `subnet`. Default: chosen by the engine.
    pub(crate) address: Option<Text<Ipv4Addr>>,
}

/// A bridge network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkTable {
    /// IPv4 subnet in CIDR notation. Default: chosen by the engine.
    pub(crate) subnet: Option<Text<Subnet>>,
    /// No way out to other networks. Default: `false`.
    #[serde(default)]
    pub(crate) internal: bool,
    /// Take over the network that was made by hand or by Compose: `true` for `APP_NAME`, or the name that the engine has
    /// for it. Default: `false`.
    pub(crate) adopt: Option<AdoptValue>,
    /// Labels of the network.
    #[serde(default)]
    pub(crate) labels: Keyed<LabelKey, String>,
}
