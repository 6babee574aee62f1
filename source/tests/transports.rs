//! A git branch as a source, from real servers on loopback. Each test says so when its server is not installed.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fs_err as fs;
use homeostat_reconciler::ports::Source;
use homeostat_reconciler::{ErrorKind, PortError, chain};
use homeostat_source::{Credentials, GitConfig, GitSource, commit_of, fetch_directory};
use support::{Repository, content, export};
use tempfile::TempDir;

fn is_installed(program: &str) -> bool {
    let found =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// git over HTTP until dropped.
struct HttpServer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl HttpServer {
    fn new(root: &Path, arguments: &[&Path], environment: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/git_http.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(root)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Self { child, output, port: line.trim().parse().unwrap() }
    }

    /// Stops it and gives the requests it had.
    fn requests(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        (&mut self.output).lines().map(|line| line.unwrap()).collect()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three pushes, a force-push among them, are seen; the history does not come along; unchanged is one request.
async fn follows_pushes(repository: &Repository, config: GitConfig, target: &Path) {
    let source = GitSource::new(config.clone()).unwrap();
    repository.write("web/page", "text");
    for text in ["one", "two", "three"] {
        repository.write("web.toml", text);
        let commit = repository.push();
        let snapshot = source.snapshot().await.unwrap();
        assert_eq!((content(&snapshot, "web.toml").as_str(), snapshot.revision), (text, commit));
    }
    repository.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    repository.write("web.toml", "four");
    repository.push();
    // As after a restart.
    let source = GitSource::new(config).unwrap();
    let snapshot = source.snapshot().await.unwrap();
    assert_eq!(content(&snapshot, "web.toml"), "four");
    assert!(git2::Repository::open_bare(repository.mirror()).unwrap().is_shallow());
    export(&source, &snapshot, "web", target).await.unwrap();
}

#[tokio::test]
async fn pushes_are_followed_over_http_by_shallow_fetches() {
    if !is_installed("python3") {
        return;
    }
    let (repository, target) = (Repository::new(), TempDir::new().unwrap());
    repository.write("old", "");
    repository.push();
    let server = HttpServer::new(repository.directory.path(), &[], &[]);
    let url = format!("http://127.0.0.1:{}/remote.git", server.port);
    let config = GitConfig { url, ..repository.config() };
    follows_pushes(&repository, config.clone(), target.path()).await;
    drop(server);
    let error = GitSource::new(config).unwrap().snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Transient, "{}", chain(&error));
}

#[tokio::test]
async fn an_unchanged_branch_costs_one_request() {
    if !is_installed("python3") {
        return;
    }
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let server = HttpServer::new(repository.directory.path(), &[], &[]);
    let url = format!("http://127.0.0.1:{}/remote.git", server.port);
    let source = GitSource::new(GitConfig { url, ..repository.config() }).unwrap();
    source.snapshot().await.unwrap();
    source.snapshot().await.unwrap();
    source.snapshot().await.unwrap();
    let requests = server.requests();
    let heads = requests.iter().filter(|request| request.contains("GET /remote.git/info/refs")).count();
    let packs = requests.iter().filter(|request| request.contains("POST")).count();
    assert!(heads <= 4 && packs <= 2, "{requests:#?}");
}

/// A commit in the middle of the history, and one that is in no branch.
#[tokio::test]
async fn a_commit_is_found_by_its_hash_whatever_the_server_allows() {
    if !is_installed("python3") {
        return;
    }
    let (repository, target) = (Repository::new(), TempDir::new().unwrap());
    let mut commits = Vec::new();
    for text in ["one", "two", "three"] {
        repository.write("page", text);
        commits.push(repository.push());
    }
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    repository.push();
    let server = HttpServer::new(repository.directory.path(), &[], &[]);
    let url = format!("http://127.0.0.1:{}/remote.git", server.port);
    let fetch = async |reference: &str, number: usize| {
        let mirror_directory = target.path().join(format!("mirror-{number}"));
        let destination = target.path().join(format!("content-{number}"));
        let config = GitConfig { url: url.clone(), mirror_directory, ..repository.config() };
        assert_eq!(commit_of(config.clone(), Some(reference)).await.unwrap(), reference);
        let commit = fetch_directory(config, Some(reference), &destination).await?;
        Ok::<_, PortError>((commit, fs::read_to_string(destination.join("page")).unwrap()))
    };
    assert_eq!(fetch(&commits[0], 1).await.unwrap(), (commits[0].clone(), "one".to_owned()));
    let error = fetch(&commits[2], 2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::User, "{}", chain(&error));
    assert!(error.message.contains("has no commit"), "{}", error.message);
    let remote = repository.directory.path().join("remote.git");
    run("git", &["-C", remote.to_str().unwrap(), "config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(fetch(&commits[2], 3).await.unwrap(), (commits[2].clone(), "three".to_owned()));
    let error = fetch(&"1".repeat(40), 4).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::User, "{}", chain(&error));
}

#[tokio::test]
async fn a_password_opens_and_a_wrong_one_is_a_matter_of_configuration() {
    if !is_installed("python3") {
        return;
    }
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let server = HttpServer::new(repository.directory.path(), &[], &[("PASSWORD", "hunter2")]);
    let source = |user: &str| {
        let url = format!("http://{user}127.0.0.1:{}/remote.git", server.port);
        GitSource::new(GitConfig { url, ..repository.config() }).unwrap()
    };
    for wrong in ["", "me:hunter3@"] {
        let error = source(wrong).snapshot().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Config, "{}", chain(&error));
        assert!(!chain(&error).contains("hunter3"));
    }
    for right in ["me:hunter2@", ":hunter2@"] {
        assert_eq!(content(&source(right).snapshot().await.unwrap(), "web.toml"), "one");
    }
    let error = GitSource::new(GitConfig {
        url: format!("http://127.0.0.1:{}/nothing.git", server.port),
        credentials: Credentials { password: Some("hunter2".into()), ..Credentials::default() },
        ..repository.config()
    });
    let error = error.unwrap().snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config, "{}", chain(&error));
}

#[tokio::test]
async fn a_redirect_to_another_scheme_or_with_credentials_is_not_followed() {
    if !is_installed("python3") {
        return;
    }
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    for elsewhere in [repository.url(), "ssh://127.0.0.1/x".into(), "ext::sh -c id".into()] {
        let moved = elsewhere.trim_end_matches("/remote.git").to_owned();
        let server = HttpServer::new(repository.directory.path(), &[], &[("MOVED_TO", &moved)]);
        let url = format!("http://127.0.0.1:{}/moved/remote.git", server.port);
        let source = GitSource::new(GitConfig { url, ..repository.config() }).unwrap();
        assert!(source.snapshot().await.is_err(), "{elsewhere}");
    }
    let thief = HttpServer::new(repository.directory.path(), &[], &[("PASSWORD", "hunter2")]);
    let moved = format!("http://localhost:{}", thief.port);
    let server = HttpServer::new(repository.directory.path(), &[], &[("MOVED_TO", &moved)]);
    let url = format!("http://me:hunter2@127.0.0.1:{}/moved/remote.git", server.port);
    let source = GitSource::new(GitConfig { url, ..repository.config() }).unwrap();
    let error = source.snapshot().await.err().unwrap();
    assert!(thief.requests().iter().all(|request| request.contains("401")), "{}", chain(&error));
}

/// Set in the process that a test of TLS runs itself again in, with the server's certificate as that of the system.
const AGAIN: &str = "HOMEOSTAT_TEST_TRUSTS";

#[tokio::test]
async fn https_is_verified_with_the_certificates_of_the_system() {
    if !is_installed("python3") || !is_installed("openssl") {
        return;
    }
    if let Some(url) = std::env::var_os(AGAIN) {
        let mirror = TempDir::new().unwrap();
        let mut config = Repository::new().config();
        config.url = url.into_string().unwrap();
        config.mirror_directory = mirror.path().join("mirror");
        let snapshot = GitSource::new(config).unwrap().snapshot().await.unwrap();
        assert_eq!(content(&snapshot, "web.toml"), "one");
        return;
    }
    let repository = Repository::new();
    repository.write("web.toml", "one");
    repository.push();
    let (certificate, key) =
        (repository.directory.path().join("cert"), repository.directory.path().join("key"));
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
        ],
    );
    let server = HttpServer::new(repository.directory.path(), &[&certificate, &key], &[]);
    let url = format!("https://127.0.0.1:{}/remote.git", server.port);
    let untrusting = GitSource::new(GitConfig { url: url.clone(), ..repository.config() }).unwrap();
    let error = untrusting.snapshot().await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config, "{}", chain(&error));
    assert!(error.hint.unwrap().contains("certificates"));
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "https_is_verified_with_the_certificates_of_the_system"])
        .env(AGAIN, url)
        .env("SSL_CERT_FILE", &certificate)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

/// sshd for each connection, with keys of its own.
struct SshServer {
    directory: TempDir,
    port: u16,
}

impl SshServer {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for key in ["host", "user", "stranger"] {
            let path = directory.path().join(key);
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", path.to_str().unwrap()]);
        }
        // sshd wants this directory, which its package's service makes.
        fs::create_dir_all("/run/sshd").unwrap();
        let config = directory.path().join("sshd_config");
        let path = directory.path().display();
        let text = format!(
            "HostKey {path}/host\nAuthorizedKeysFile {path}/user.pub\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n\
             SetEnv PATH={}\n",
            std::env::var("PATH").unwrap()
        );
        fs::write(&config, text).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = OwnedFd::from(connection.unwrap());
                let copy = connection.try_clone().unwrap();
                let mut server = Command::new("/usr/sbin/sshd")
                    .args(["-i", "-e", "-f"])
                    .arg(&config)
                    .stdin(Stdio::from(connection))
                    .stdout(Stdio::from(copy))
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::spawn(move || server.wait());
            }
        });
        Self { directory, port }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A `known_hosts` with the host's public key under this name.
    fn known_hosts(&self, host: &str, key: &str) -> PathBuf {
        let key = fs::read_to_string(self.file(&format!("{key}.pub"))).unwrap();
        fs::write(self.file("known_hosts"), format!("{host} {key}")).unwrap();
        self.file("known_hosts")
    }

    fn config(&self, repository: &Repository, known_hosts: PathBuf, key: &str) -> GitConfig {
        let credentials = Credentials {
            ssh_key: Some(self.file(key)),
            known_hosts: Some(known_hosts),
            ..Credentials::default()
        };
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
        let url = format!("ssh://{user}@127.0.0.1:{}{}", self.port, repository.remote().display());
        GitConfig { url, credentials, ..repository.config() }
    }
}

#[tokio::test]
async fn pushes_are_followed_over_ssh_from_a_known_host() {
    if !is_installed("/usr/sbin/sshd") || !is_installed("ssh-keygen") {
        return;
    }
    let (repository, server, target) = (Repository::new(), SshServer::new(), TempDir::new().unwrap());
    repository.write("old", "");
    repository.push();
    let known = server.known_hosts(&format!("[127.0.0.1]:{}", server.port), "host");
    // Hashed, as ssh writes it.
    run("ssh-keygen", &["-q", "-H", "-f", known.to_str().unwrap()]);
    assert!(fs::read_to_string(&known).unwrap().starts_with("|1|"));
    follows_pushes(&repository, server.config(&repository, known, "user"), target.path()).await;
}

#[tokio::test]
async fn an_unknown_host_and_a_refused_key_are_matters_of_configuration() {
    if !is_installed("/usr/sbin/sshd") || !is_installed("ssh-keygen") {
        return;
    }
    let (repository, server) = (Repository::new(), SshServer::new());
    repository.write("web.toml", "one");
    repository.push();
    let name = format!("[127.0.0.1]:{}", server.port);
    for (host, host_key, key, reason) in [
        ("example.org", "host", "user", "is not in known_hosts"),
        (name.as_str(), "stranger", "user", "not among its known ones"),
        (name.as_str(), "host", "stranger", "credentials"),
    ] {
        let config = server.config(&repository, server.known_hosts(host, host_key), key);
        let error = GitSource::new(config).unwrap().snapshot().await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Config, "{}", chain(&error));
        assert!(chain(&error).contains(reason), "{}", chain(&error));
    }
}
