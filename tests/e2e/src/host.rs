//! A host of its own for a test.

use std::ops::DerefMut;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use tempfile::TempDir;

use homeostat_daemons::{Certificates, Daemon, Docker, Podman, Proxy, Release};

use crate::command::binary;
use crate::leaks::Leaks;
use crate::overlayfs::Overlayfs;
use crate::{Agent, Outcome, run};

/// An engine that is a daemon, with its name.
type Engine = (&'static str, Box<dyn DerefMut<Target = Daemon>>);

/// A host of its own: network namespace, data, run and source directory. What runs on it is taken down
/// and leaks are looked for when it is dropped.
pub struct Host {
    daemon: Option<Engine>,
    proxy: Option<Proxy>,
    /// Variables that say where the daemon is, instead of an option.
    variables: Vec<(&'static str, String)>,
    /// Whether the kernel has overlayfs, if a test has asked for its saying so.
    overlayfs: Option<Overlayfs>,
    leaks: Leaks,
    /// Last: it goes once nothing writes to it any more.
    directory: TempDir,
}

impl Host {
    /// A host without anything. To be made on the thread of the test: its network namespace is that thread's,
    /// and that of every process the thread starts.
    #[expect(clippy::new_without_default, reason = "it changes the thread's namespace")]
    pub fn new() -> Self {
        Self::with(|_| None)
    }

    /// A host with a Docker Engine of its own that homeostat drives. Containers outlive the daemon.
    pub fn with_docker() -> Self {
        Self::with_docker_of(&Release::Host)
    }

    /// As [`with_docker`](Self::with_docker), with one whose containers end with it.
    pub fn with_docker_that_takes_its_containers_with_it() -> Self {
        Self::with(|directory| Some(("docker", Box::new(Docker::start(directory)))))
    }

    /// As [`with_docker`](Self::with_docker), with the Docker Engine of a release.
    pub fn with_docker_of(release: &Release) -> Self {
        Self::with(|directory| {
            Some(("docker", Box::new(Docker::start_with_live_restore(release, directory))))
        })
    }

    /// As [`with_docker`](Self::with_docker), with a proxy between homeostat and the daemon.
    pub fn with_docker_behind_a_proxy() -> Self {
        let mut host = Self::with_docker();
        let socket = host.path("proxy.sock");
        host.proxy = Some(Proxy::start(host.daemon().socket(), socket));
        host
    }

    /// A host with a Podman of its own that homeostat drives.
    pub fn with_podman() -> Self {
        Self::with_podman_of(&Release::Host)
    }

    /// As [`with_podman`](Self::with_podman), with the Podman of a release.
    pub fn with_podman_of(release: &Release) -> Self {
        Self::with(|directory| Some(("podman", Box::new(Podman::start_of(release, directory)))))
    }

    /// A host with a Docker Engine of a user without rights. `None`, and a word on why, where that cannot be had.
    pub fn with_rootless_docker() -> Option<Self> {
        Self::try_with(|directory| Some(("docker", Box::new(Docker::start_rootless(directory)?))))
    }

    /// A host with a Podman of a user without rights. `None`, and a word on why, where that cannot be had.
    pub fn with_rootless_podman() -> Option<Self> {
        Self::try_with(|directory| Some(("podman", Box::new(Podman::start_rootless(directory)?))))
    }

    /// A host with a Docker Engine of its own that homeostat drives at `127.0.0.1:2375`, as if it were elsewhere.
    pub fn with_docker_over_tcp() -> Self {
        let mut host =
            Self::with(|directory| Some(("docker", Box::new(Docker::start_over_tcp(directory, 2375)))));
        host.variables = vec![("DOCKER_HOST", "tcp://127.0.0.1:2375".to_owned())];
        host
    }

    /// A host with a Docker Engine of its own that homeostat drives at `127.0.0.1:2376` with TLS, as if it were elsewhere.
    pub fn with_docker_over_tls() -> Self {
        let mut host = Self::with(|directory| {
            let certificates = Certificates::make(&directory.with_file_name("certificates"));
            Some(("docker", Box::new(Docker::start_over_tls(directory, 2376, &certificates))))
        });
        host.variables = vec![
            ("DOCKER_HOST", "tcp://127.0.0.1:2376".to_owned()),
            ("DOCKER_TLS_VERIFY", "1".to_owned()),
            ("DOCKER_CERT_PATH", host.path("certificates/client").display().to_string()),
        ];
        host
    }

    fn with(start: impl FnOnce(&Path) -> Option<Engine>) -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("end-to-end tests run as root");
        run("ip", &["link", "set", "lo", "up"]);
        let directory = TempDir::with_prefix("homeostat-e2e-").expect("a temporary directory");
        for name in ["data", "run", "source"] {
            fs_err::create_dir(directory.path().join(name)).expect("a directory");
        }
        let leaks = Leaks::new(directory.path());
        let daemon = start(&directory.path().join("daemon"));
        Self { daemon, proxy: None, variables: Vec::new(), overlayfs: None, leaks, directory }
    }

    /// A host with this engine, if it can be had.
    fn try_with(start: impl FnOnce(&Path) -> Option<Engine>) -> Option<Self> {
        let host = Self::with(start);
        host.daemon.is_some().then_some(host)
    }

    /// The daemon of a host that has one.
    pub fn daemon(&mut self) -> &mut Daemon {
        let (_, daemon) = self.daemon.as_mut().expect("the host has a daemon");
        &mut *daemon
    }

    /// The proxy of a host that has one.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the host has a proxy")
    }

    /// Sets a variable for every `homeostat` of this host from now on.
    pub fn set_variable(&mut self, name: &'static str, value: &str) {
        self.variables.push((name, value.to_owned()));
    }

    /// Takes overlayfs from the kernel as every process of this host sees it from now on, or gives it back.
    pub fn set_overlayfs(&mut self, is_there: bool) {
        let overlayfs =
            self.overlayfs.get_or_insert_with(|| Overlayfs::watch().expect("a filter can be loaded"));
        overlayfs.set(is_there);
    }

    /// Runs Docker's own client on the host's daemon, and gives what it says.
    pub fn docker(&self, arguments: &[&str]) -> String {
        run("docker", &[&["--host", &self.docker_host()], arguments].concat())
    }

    /// Where Docker's clients reach the host's daemon.
    pub(crate) fn docker_host(&self) -> String {
        let (_, daemon) = self.daemon.as_ref().expect("the host has a daemon");
        format!("unix://{}", daemon.socket().display())
    }

    /// A directory or file of this host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The source directory.
    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    /// Writes a file of the source.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.source().join(name);
        fs_err::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        fs_err::write(path, content).expect("a file of the source");
    }

    /// Removes a file of the source.
    pub fn remove(&self, name: &str) {
        fs_err::remove_file(self.source().join(name)).expect("the file is there");
    }

    /// `homeostat` with the options of this host.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("--data-dir").arg(self.path("data")).arg("--run-dir").arg(self.path("run"));
        // Nothing of the machine that runs the tests is to be read.
        command.arg("--config").arg(self.config());
        command.env_remove("NOTIFY_SOCKET");
        if let Some((name, daemon)) = &self.daemon {
            command.arg("--engine").arg(name);
            if self.variables.is_empty() {
                let socket = self.proxy.as_ref().map_or_else(|| daemon.socket(), Proxy::socket);
                command.arg("--engine-socket").arg(socket);
            }
        }
        command.envs(self.variables.iter().cloned());
        command
    }

    fn config(&self) -> PathBuf {
        let path = self.path("config.toml");
        if !path.exists() {
            fs_err::write(&path, "").expect("a configuration file");
        }
        path
    }

    /// Runs `homeostat` with arguments.
    pub fn homeostat(&self, arguments: &[&str]) -> Outcome {
        self.command().args(arguments).output().expect("the binary can be run").into()
    }

    /// Runs `homeostat` with arguments and this on standard input.
    pub fn homeostat_reading(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let path = self.path("input");
        fs_err::write(&path, input).expect("a file for standard input");
        let input = fs_err::File::open(path).expect("it was written").into_parts().0;
        self.command().args(arguments).stdin(input).output().expect("the binary can be run").into()
    }

    /// `homeostat apply` of the source directory.
    pub fn apply(&self) -> Outcome {
        self.homeostat(&["apply", self.source().to_str().expect("a path in UTF-8")])
    }

    /// `homeostat plan` of the source directory.
    pub fn plan(&self) -> Outcome {
        self.homeostat(&["plan", self.source().to_str().expect("a path in UTF-8")])
    }

    /// `homeostat status -o json`, whatever its exit code.
    pub fn status(&self) -> Value {
        self.homeostat(&["status", "-o", "json"]).json()
    }

    /// The status of a container, as `web/web`; `Null` when it is not there.
    pub fn container(&self, key: &str) -> Value {
        container_of(&self.status(), key)
    }

    /// The process id of a container.
    pub fn pid(&self, key: &str) -> i32 {
        let status = self.container(key);
        let pid = status["pid"].as_i64().unwrap_or_else(|| panic!("{key} does not run: {status}"));
        i32::try_from(pid).expect("process ids are small")
    }

    /// Starts an agent that follows the source directory.
    pub fn agent(&self) -> Agent<'_> {
        Agent::start(self, self.source().to_str().expect("a path in UTF-8"), &[])
    }
}

/// The status of a container within `status -o json`.
pub(crate) fn container_of(status: &Value, key: &str) -> Value {
    let (app, name) = key.split_once('/').expect("a key is APP/NAME");
    let apps = status["apps"].as_array().into_iter().flatten();
    let containers =
        apps.filter(|found| found["name"] == app).filter_map(|found| found["containers"].as_array());
    containers.flatten().find(|found| found["name"] == name).cloned().unwrap_or(Value::Null)
}

impl Drop for Host {
    fn drop(&mut self) {
        let down = self.homeostat(&["agent", "--down"]);
        if std::thread::panicking() {
            eprintln!("{}", down.stderr);
            return;
        }
        assert_eq!(down.code, Some(0), "the host is taken down: {}", down.stderr);
        drop(self.daemon.take());
        self.leaks.assert_none();
    }
}
