//! A registry of images.

mod image;
mod store;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use store::Store;

use crate::ping::Endpoint;
use crate::{Daemon, Release};

/// Who may pull from a registry that asks.
pub const USER: &str = "user";

/// The password of [`USER`].
pub const PASSWORD: &str = "secret";

/// [`USER`] and the bcrypt hash of [`PASSWORD`], with the least cost: a registry takes no other hash.
const HTPASSWD: &str = "user:$2b$04$e/yDUsMsix1ZPZX3hmGnEegqE/yxWlN7Sfn/rkboxvVpT7glQjL3a\n";

/// Where it keeps what it has, in its directory: tests put images there.
const CONTENT: &str = "content";

/// A `docker-registry` on a port of loopback, in the network namespace of the thread that starts it.
#[derive(Debug)]
pub struct Registry {
    daemon: Daemon,
    address: SocketAddr,
    directory: PathBuf,
}

impl Registry {
    /// Starts one that speaks plain HTTP with everybody and keeps everything in this directory, which is made for it.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, "")
    }

    /// Starts one that asks for [`USER`] and [`PASSWORD`].
    pub fn start_with_password(directory: &Path) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        let file = directory.join("htpasswd");
        fs_err::write(&file, HTPASSWD).unwrap();
        Self::start_with(
            directory,
            &format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", file.display()),
        )
    }

    /// Starts one that speaks TLS, with a certificate of the authority in [`authority`](Self::authority).
    pub fn start_with_tls(directory: &Path) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        certificates(directory);
        let file = |name: &str| directory.join(name).display().to_string();
        let tls = format!("  tls: {{certificate: {}, key: {}}}\n", file("server.pem"), file("server.key"));
        Self::start_with(directory, &tls)
    }

    /// `more` begins within the section `http`.
    fn start_with(directory: &Path, more: &str) -> Self {
        fs_err::create_dir_all(directory).unwrap();
        let address = free_port();
        let data = directory.join(CONTENT);
        let configuration = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: {address}\n{more}",
            data.display()
        );
        let file = directory.join("config.yml");
        fs_err::write(&file, configuration).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file);
        let mut daemon = Daemon::keep(directory, Endpoint::Registry(address), &Release::Host, &mut command);
        daemon.start();
        Self { daemon, address, directory: directory.to_owned() }
    }

    /// Its address and port, with which a reference of an image begins.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The certificate, in PEM, of the authority that vouches for a registry with TLS.
    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Gives an image to `REPOSITORY:TAG`, also if another one has had it, and returns its digest, as `sha256:...`.
    /// The image has busybox, with `sh`, `cat`, `sleep` and `httpd` in `/bin`, and a file `/version` with this text; by
    /// itself it sleeps.
    pub fn push(&self, repository: &str, tag: &str, version: &str) -> String {
        let store = Store::new(&self.directory.join(CONTENT), repository);
        let manifest = image::busybox(&store, version);
        store.tag(tag, &manifest)
    }

    /// As [`push`](Self::push), an image of these layers, tar archives.
    pub fn push_layers(&self, repository: &str, tag: &str, layers: &[Vec<u8>]) -> String {
        let store = Store::new(&self.directory.join(CONTENT), repository);
        let manifest = image::of_layers(&store, layers);
        store.tag(tag, &manifest)
    }

    /// What it has logged: among others a line for every request.
    pub fn logs(&self) -> String {
        self.daemon.logs()
    }

    /// Ends it. What it has stays.
    pub fn stop(&mut self) {
        self.daemon.stop();
    }
}

/// A port of loopback that nobody listens on.
fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Makes an authority, `ca.pem`, and a certificate of it for loopback, `server.pem`.
fn certificates(directory: &Path) {
    let authority = ["-subj", "/CN=authority of a test", "-keyout", "ca.key", "-out", "ca.pem"];
    let server = [
        "-subj",
        "/CN=registry of a test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
    ];
    for arguments in [&authority[..], &server[..]] {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        let output = command.args(["-days", "2"]).args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
