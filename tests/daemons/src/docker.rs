//! Docker Engine.

use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use crate::ping::Endpoint;
use crate::rootless::as_user;
use crate::{Certificates, Daemon, Release};

/// A Docker Engine: `dockerd` with a `containerd` of its own.
#[derive(Debug)]
pub struct Docker(Daemon);

impl Docker {
    /// Starts one of the host that keeps everything in this directory, which is made for it. Containers end with it.
    pub fn start(directory: &Path) -> Self {
        Self::start_of(&Release::Host, directory)
    }

    /// Starts one of a release as [`start`](Self::start) does.
    pub fn start_of(release: &Release, directory: &Path) -> Self {
        Self::start_with(release, directory, &[])
    }

    /// Starts one whose containers go on when it ends.
    pub fn start_with_live_restore(release: &Release, directory: &Path) -> Self {
        Self::start_with(release, directory, &["--live-restore"])
    }

    /// Starts one that listens at `127.0.0.1:PORT` too, for whoever comes.
    pub fn start_over_tcp(directory: &Path, port: u16) -> Self {
        Self::start_with(
            &Release::Host,
            directory,
            &[&format!("--host=tcp://127.0.0.1:{port}"), "--tls=false"],
        )
    }

    /// Starts one that listens at `127.0.0.1:PORT` too, with TLS, for who has a certificate of the same authority.
    pub fn start_over_tls(directory: &Path, port: u16, certificates: &Certificates) -> Self {
        let host = format!("--host=tcp://127.0.0.1:{port}");
        let file = |option: &str, name: &str| {
            format!("--tls{option}={}", certificates.engine().join(name).display())
        };
        let files = [file("cacert", "ca.pem"), file("cert", "cert.pem"), file("key", "key.pem")];
        Self::start_with(&Release::Host, directory, &[&host, "--tlsverify", &files[0], &files[1], &files[2]])
    }

    /// Starts one of the host as [`start`](Self::start) does, as a user without rights. `None`, and a word on why, where
    /// the host has not what that takes.
    pub fn start_rootless(directory: &Path) -> Option<Self> {
        fs_err::create_dir_all(directory).unwrap();
        let socket = directory.join("docker.sock");
        // As dockerd-rootless.sh does it.
        let mut command = Command::new("rootlesskit");
        command.args([
            "--net=slirp4netns",
            "--mtu=65520",
            "--disable-host-loopback",
            "--port-driver=builtin",
        ]);
        command.args(["--copy-up=/etc", "--copy-up=/run", "--propagation=rslave"]);
        command.arg("--state-dir").arg(directory.join("user/rootlesskit"));
        command.args(["dockerd", "--rootless"]).args(options(directory, &socket));
        let mut command = as_user(directory, &command)?;
        let mut daemon = Daemon::keep(directory, Endpoint::Engine(socket), &Release::Host, &mut command);
        daemon.start();
        Some(Self(daemon))
    }

    fn start_with(release: &Release, directory: &Path, more: &[&str]) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        let socket = directory.join("docker.sock");
        // A containerd that has ended and that nobody has reaped yet is taken for alive, and waited for.
        let mut command = Command::new("sh");
        command.args(["-c", "rm -f \"$0\"; exec dockerd \"$@\""]);
        command.arg(directory.join("run/containerd/containerd.pid"));
        command.args(options(directory, &socket));
        command.arg("--exec-opt=native.cgroupdriver=cgroupfs");
        if *release == Release::Host {
            // The default bridge costs rules and time. BuildKit, which newer releases build with, runs its steps on it.
            command.arg("--bridge=none");
        }
        command.args(more);
        let mut daemon = Daemon::keep(directory, Endpoint::Engine(socket), release, &mut command);
        daemon.start();
        Self(daemon)
    }
}

/// What every one is told: everything is in this directory.
fn options(directory: &Path, socket: &Path) -> Vec<OsString> {
    // What the host's own daemon is told is not for this one.
    fs_err::write(directory.join("daemon.json"), "{}").unwrap();
    let files =
        [("config-file", "daemon.json"), ("data-root", "data"), ("exec-root", "run"), ("pidfile", "pid")];
    let mut options: Vec<OsString> = vec!["--storage-driver=overlay2".into()];
    options.push(format!("--host=unix://{}", socket.display()).into());
    options
        .extend(files.map(|(option, name)| format!("--{option}={}", directory.join(name).display()).into()));
    options
}

impl Deref for Docker {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Docker {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}
