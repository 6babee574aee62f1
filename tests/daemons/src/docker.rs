//! Docker Engine.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use crate::ping::Endpoint;
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

    fn start_with(release: &Release, directory: &Path, options: &[&str]) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        let file = |name: &str| directory.join(name);
        let socket = file("docker.sock");
        // What the host's own daemon is told is not for this one.
        fs_err::write(file("daemon.json"), "{}").unwrap();
        // A containerd that has ended and that nobody has reaped yet is taken for alive, and waited for.
        let mut command = Command::new("sh");
        command.args(["-c", "rm -f \"$0\"; exec dockerd \"$@\""]).arg(file("run/containerd/containerd.pid"));
        command.arg("--config-file").arg(file("daemon.json"));
        command.arg("--data-root").arg(file("data")).arg("--exec-root").arg(file("run"));
        command.arg("--pidfile").arg(file("pid"));
        command.arg(format!("--host=unix://{}", socket.display()));
        // The default bridge, which nobody uses, costs rules and time.
        command.args([
            "--bridge=none",
            "--storage-driver=overlay2",
            "--exec-opt=native.cgroupdriver=cgroupfs",
        ]);
        command.args(options);
        let mut daemon = Daemon::keep(directory, Endpoint::Engine(socket), release, &mut command);
        daemon.start();
        Self(daemon)
    }
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
