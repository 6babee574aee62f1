//! Podman.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use crate::ping::Endpoint;
use crate::rootless::as_user;
use crate::{Daemon, Release};

/// Podman's service of the Docker API.
#[derive(Debug)]
pub struct Podman(Daemon);

impl Podman {
    /// Starts one of the host that keeps everything in this directory, which is made for it.
    pub fn start(directory: &Path) -> Self {
        Self::start_of(&Release::Host, directory)
    }

    /// Starts one of a release as [`start`](Self::start) does.
    pub fn start_of(release: &Release, directory: &Path) -> Self {
        let socket = directory.join("podman.sock");
        let mut command = service(directory, &socket);
        let mut daemon = Daemon::keep(directory, Endpoint::Engine(socket), release, &mut command);
        daemon.start();
        Self(daemon)
    }

    /// Starts one of the host as [`start`](Self::start) does, as a user without rights. `None`, and a word on why, where
    /// the host has not what that takes.
    pub fn start_rootless(directory: &Path) -> Option<Self> {
        let socket = directory.join("podman.sock");
        let mut command = service(directory, &socket);
        // Its places are those of the user: the programs that clean up after a container look for them there.
        fs_err::write(directory.join("containers.conf"), format!("{CONFIGURATION}{NETWORK}")).unwrap();
        command.env_remove("CONTAINERS_STORAGE_CONF");
        let mut command = as_user(directory, &command)?;
        let mut daemon = Daemon::keep(directory, Endpoint::Engine(socket), &Release::Host, &mut command);
        daemon.start();
        Some(Self(daemon))
    }
}

/// The service of the API, with everything in this directory, which is made for it.
fn service(directory: &Path, socket: &Path) -> Command {
    fs_err::create_dir_all(directory).unwrap();
    let file = |name: &str| directory.join(name);
    fs_err::write(file("containers.conf"), configuration(directory)).unwrap();
    fs_err::write(file("storage.conf"), storage(directory)).unwrap();
    fs_err::write(file("registries.conf"), REGISTRIES).unwrap();
    fs_err::write(file("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    // It leaves the archives of images that it was sent.
    let temporary = file("tmp");
    fs_err::create_dir_all(&temporary).unwrap();
    let mut command = Command::new("podman");
    command.env("TMPDIR", temporary);
    command.env("CONTAINERS_CONF", file("containers.conf"));
    command.env("CONTAINERS_STORAGE_CONF", file("storage.conf"));
    command.env("CONTAINERS_REGISTRIES_CONF", file("registries.conf"));
    command.args(["--log-level=info", "system", "service", "--time=0"]);
    command.arg(format!("unix://{}", socket.display()));
    command
}

/// Docker does without TLS on loopback by itself.
const REGISTRIES: &str = "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n";

/// crun of Debian 12 refuses a host with both versions of control groups, so runc it is. Limits of processes and files
/// that a test's host may not raise are left as they are.
const CONFIGURATION: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

const NETWORK: &str = "\n[network]\nnetwork_backend = \"netavark\"\n";

/// With everything in this directory.
fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"{CONFIGURATION}
events_logfile_path = "{directory}/events"
static_dir = "{directory}/data/libpod"
volume_path = "{directory}/data/volumes"
tmp_dir = "{directory}/run/libpod"
signature_policy_path = "{directory}/policy.json"
{NETWORK}network_config_dir = "{directory}/networks"
"#
    )
}

fn storage(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{directory}/data\"\nrunroot = \"{directory}/run\"\n"
    )
}

impl Deref for Podman {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Podman {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}
