//! The options of `run` and `create`, with Docker's names.

use clap::Args;
use homeostat_reconciler::{ByHandContainer, ErrorKind, PortError, ResourceKey};
use homeostat_spec::{Container, ContainerImage, Image, Name};

use super::document::Document;
use super::mounts::Mounts;
use super::one_off;
use crate::service::{NewContainer, OWN_APP};

/// What the image is called within the spec that the options become.
pub(super) const IMAGE: &str = "image";

#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // As many as Docker has.
pub(in crate::cli) struct ContainerOptions {
    /// Name of the container [default: from the image, with a few digits]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Keep standard input open
    #[arg(short, long)]
    pub(in crate::cli) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(in crate::cli) tty: bool,
    /// Remove the container, and its volumes without a name, when its run has ended
    #[arg(long)]
    pub(in crate::cli) rm: bool,
    /// Environment variable; NAME alone takes the value that it has here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// File with a variable a line
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<String>,
    /// Publish a port or a range of the container on the host
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/udp]")]
    pub(super) publish: Vec<String>,
    /// Publish every port that the image exposes
    #[arg(short = 'P', long)]
    pub(super) publish_all: bool,
    /// Mount a volume, a path of the host, or at TARGET alone a volume that goes with the container
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:ro]")]
    pub(super) volume: Vec<String>,
    /// As --volume, in words
    #[arg(long, value_name = "type=TYPE,source=SOURCE,target=TARGET[,readonly]")]
    pub(super) mount: Vec<String>,
    /// Mount an empty file system in memory
    #[arg(long, value_name = "TARGET[:size=SIZE,mode=MODE]")]
    pub(super) tmpfs: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub(super) workdir: Option<String>,
    /// User, as UID, UID:GID, USER or USER:GROUP
    #[arg(short, long)]
    pub(super) user: Option<String>,
    /// Program in place of the image's ENTRYPOINT
    #[arg(long, value_name = "PROGRAM")]
    pub(super) entrypoint: Option<String>,
    /// Host name in the container [default: its name]
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(super) hostname: Option<String>,
    /// bridge, host, none, or a network of its app, which is made if there is none; may be given several times
    #[arg(long, value_name = "NETWORK")]
    pub(super) network: Vec<String>,
    /// Name by which containers of its first network find it beside its own
    #[arg(long, value_name = "NAME")]
    pub(super) network_alias: Vec<String>,
    /// Label
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(super) label: Vec<String>,
    /// When it is started again after its end: no, on-failure, always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub(super) restart: Option<String>,
    /// Limit of memory, as 512m
    #[arg(short, long, value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Limit of processor time, in processors
    #[arg(long, value_name = "NUMBER")]
    pub(super) cpus: Option<f64>,
    /// Limit of processes and threads
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(super) pids_limit: Option<i64>,
    /// Mount the root file system read-only
    #[arg(long)]
    pub(super) read_only: bool,
    /// Add a Linux capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_add: Vec<String>,
    /// Take a Linux capability away; ALL takes every one
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_drop: Vec<String>,
    /// no-new-privileges, seccomp=unconfined or systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    pub(super) security_opt: Vec<String>,
    /// Group of its user beside those of the image
    #[arg(long, value_name = "GROUP")]
    pub(super) group_add: Vec<String>,
    /// Device of the host
    #[arg(long, value_name = "HOST[:CONTAINER][:rwm]")]
    pub(super) device: Vec<String>,
    /// Limit of each process
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(super) ulimit: Vec<String>,
    /// Parameter of the kernel
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) sysctl: Vec<String>,
    /// Size of /dev/shm, as 128m
    #[arg(long, value_name = "SIZE")]
    pub(super) shm_size: Option<String>,
    /// Run an init as the first process
    #[arg(long)]
    pub(super) init: bool,
    /// Line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(super) add_host: Vec<String>,
    /// Name server in place of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub(super) dns: Vec<String>,
    /// Domain to search in place of the host's
    #[arg(long, value_name = "DOMAIN")]
    pub(super) dns_search: Vec<String>,
    /// Option of resolv.conf in place of the host's
    #[arg(long, value_name = "OPTION")]
    pub(super) dns_option: Vec<String>,
    /// Signal with which it is stopped
    #[arg(long, value_name = "SIGNAL")]
    pub(super) stop_signal: Option<String>,
    /// Seconds before it is killed when it is stopped
    #[arg(long, value_name = "SECONDS")]
    pub(super) stop_timeout: Option<u32>,
    /// Command that tells whether it works
    #[arg(long, value_name = "COMMAND")]
    pub(super) health_cmd: Option<String>,
    /// Time between two of these, as 10s
    #[arg(long, value_name = "TIME", requires = "health_cmd")]
    pub(super) health_interval: Option<String>,
    /// Time that one may take
    #[arg(long, value_name = "TIME", requires = "health_cmd")]
    pub(super) health_timeout: Option<String>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "NUMBER", requires = "health_cmd")]
    pub(super) health_retries: Option<u32>,
    /// Time after the start in which failures do not count
    #[arg(long, value_name = "TIME", requires = "health_cmd")]
    pub(super) health_start_period: Option<String>,
    /// When the image is pulled: missing, always or never
    #[arg(long, value_name = "POLICY")]
    pub(super) pull: Option<String>,
    /// max-size=SIZE or max-file=NUMBER
    #[arg(long, value_name = "OPTION")]
    pub(super) log_opt: Vec<String>,
    /// Image, or APP/CONTAINER for another container like that of a spec, beside it
    #[arg(value_name = "IMAGE|APP/CONTAINER")]
    pub(in crate::cli) image: String,
    /// Command in place of the image's CMD
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

/// A container that can be asked for.
pub(in crate::cli) struct Prepared {
    /// What it is to be called.
    pub(in crate::cli) key: ResourceKey,
    /// What it is to be.
    pub(in crate::cli) new: NewContainer,
}

impl ContainerOptions {
    /// What the options ask for; `like` is the declared container that they are about, if they are about one.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(in crate::cli) fn prepare(
        &self,
        like: Option<(&ResourceKey, &Container)>,
    ) -> Result<Prepared, PortError> {
        let key = self.key(like.map(|(key, _)| key))?;
        let mounts = Mounts::of(key.name.as_str(), &self.volume, &self.mount, &self.tmpfs)?;
        let mut document = Document::default();
        self.describe(&mut document, &mounts)?;
        let mut app = document.compile(&key.app, &key.name)?;
        let container = app.containers.remove(&key.name);
        let mut container =
            container.ok_or_else(|| PortError::new(ErrorKind::Internal, "the options give no container"))?;
        if let Some(Image::Reference(reference)) = app.images.remove(IMAGE) {
            container.image = ContainerImage::Reference(reference);
        }
        if let Some((_, like)) = like {
            container = one_off::like(like, container)?;
        }
        if self.rm && container.restart != homeostat_spec::RestartPolicy::No {
            return Err(refuse("a container with --rm is not restarted: leave out --restart"));
        }
        let container = ByHandContainer { container, auto_remove: self.rm };
        Ok(Prepared {
            key,
            new: NewContainer { container, volumes: app.volumes, networks: app.networks, attended: false },
        })
    }

    fn key(&self, like: Option<&ResourceKey>) -> Result<ResourceKey, PortError> {
        let wrong = |error: homeostat_spec::NameError| refuse(&format!("--name: {error}"));
        let name: Name = match (&self.name, like) {
            (Some(name), _) => name.parse().map_err(wrong)?,
            (None, like) => {
                some_name(&like.map_or_else(|| base_name(&self.image), |key| format!("{}-run", key.name)))
            }
        };
        let app = like.map(|key| key.app.clone());
        let app = match app {
            Some(app) => app,
            None => OWN_APP.parse().map_err(wrong)?,
        };
        Ok(ResourceKey::new(app, name))
    }
}

/// The last part of an image's path, as far as it can be part of a name.
fn base_name(image: &str) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let last = last.split(':').next().unwrap_or_default();
    let name: String = last
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(40)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "container".to_owned() } else { name.to_owned() }
}

/// A name that begins so and that hardly anything else has.
fn some_name(base: &str) -> Name {
    let room = Name::MAX_LENGTH - 7;
    let base: String = base.chars().take(room).collect();
    let random = super::super::options::seed() & 0x00ff_ffff;
    format!("{}-{random:06x}", base.trim_end_matches('-'))
        .parse()
        .expect("made of the characters that a name has, with a letter or digit at both ends")
}

pub(super) fn refuse(message: &str) -> PortError {
    PortError::new(ErrorKind::User, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use homeostat_spec::{DesiredState, NetworkMode, RestartPolicy};

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        options: ContainerOptions,
    }

    fn prepare(line: &str) -> Result<Prepared, PortError> {
        let words = std::iter::once("run").chain(line.split(' '));
        Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).options.prepare(None)
    }

    #[test]
    fn options_become_a_container_of_the_app_of_their_own() {
        let Prepared { key, new } = prepare(
            "--rm -it --name x -h y -e A=${B} -p 127.0.0.1:8080:80 -v data:/data -v /cache -w /w -u 1:2 \
             --entrypoint /bin/e --network back -m 512m --cpus 0.5 --pids-limit -1 --read-only --cap-drop ALL \
             --security-opt no-new-privileges --stop-timeout 3 --health-cmd true --log-opt max-size=1m \
             acme/web:1.4 sh -c true",
        )
        .unwrap();
        assert_eq!(key.to_string(), "run/x");
        let ByHandContainer { container, auto_remove } = new.container;
        assert!(auto_remove);
        assert_eq!((container.state, container.restart), (DesiredState::Running, RestartPolicy::No));
        let config = &container.config;
        assert!(config.tty && config.stdin_open && config.read_only && config.no_new_privileges);
        assert_eq!(config.env["A"], "${B}");
        assert_eq!(config.command.as_deref().unwrap(), ["sh", "-c", "true"]);
        assert_eq!(config.entrypoint.as_deref().unwrap(), ["/bin/e"]);
        assert_eq!(config.ports[0].host_port, 8080);
        assert_eq!(config.resources.memory, Some(512 << 20));
        assert_eq!(config.resources.pids, None);
        assert_eq!(config.log.max_size, 1 << 20);
        assert_eq!(config.network, NetworkMode::Named("back".parse().unwrap()));
        assert!(new.networks.contains_key("back"));
        let retained: Vec<_> =
            new.volumes.iter().map(|(name, volume)| (name.as_str(), volume.retain)).collect();
        assert_eq!(retained, [("data", true), ("x-1", false)]);
    }

    #[test]
    fn a_name_comes_from_the_image() {
        for (image, base) in
            [("nginx", "nginx-"), ("ghcr.io/Acme/my_app:1.0@sha256:ab", "my-app-"), ("-", "container-")]
        {
            let name = some_name(&base_name(image));
            assert!(name.as_str().starts_with(base) && name.as_str().len() == base.len() + 6, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_as_of_a_spec() {
        let error = |line: &str| prepare(line).err().unwrap_or_else(|| panic!("{line}")).to_string();
        assert!(error("-p 80:x nginx").contains("\"x\" is no port"));
        assert!(error("--restart maybe nginx").contains("maybe"));
        assert!(error("--rm --restart always nginx").contains("--restart"));
        assert!(error("--name UP nginx").contains("--name"));
        assert!(error("--security-opt what nginx").contains("what"));
    }
}
