//! Images that homeostat has, in Docker, Podman and skopeo, and theirs in homeostat.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use homeostat_daemons::{Docker, Podman, Release};
use homeostat_e2e::{Host, busybox_image, run};

/// What the image prints.
const SAYING: &str = "as it was made";

/// Docker's client, or Podman's through its own API.
struct Peer<'a> {
    name: &'static str,
    socket: &'a Path,
}

impl Peer<'_> {
    fn docker(&self, arguments: &[&str]) -> String {
        let host = format!("unix://{}", self.socket.display());
        run("docker", &[&["--host", &host], arguments].concat())
    }

    /// What a container of an image prints.
    fn output(&self, image: &str) -> String {
        let id = self.docker(&["create", "--network=none", image, "cat", "/saying"]);
        let id = id.trim();
        self.docker(&["start", id]);
        assert_eq!(self.docker(&["wait", id]).trim(), "0", "{}: {}", self.name, self.docker(&["logs", id]));
        let output = self.docker(&["logs", id]);
        self.docker(&["rm", id]);
        output
    }
}

fn path(host: &Host, name: &str) -> String {
    host.path(name).to_str().unwrap().to_owned()
}

/// Builds `acme/app:1` here.
fn build(host: &Host) {
    busybox_image(host);
    let context = host.source().join("busybox");
    let dockerfile = fs_err::read_to_string(context.join("Dockerfile")).unwrap();
    let more = format!("RUN echo {SAYING} > /saying && rm /bin/wget\nCMD [\"cat\", \"/saying\"]\n");
    fs_err::write(context.join("Dockerfile"), dockerfile + &more).unwrap();
    host.homeostat(&["build", context.to_str().unwrap(), "-t", "acme/app:1"]).expect_code(0);
}

fn id(host: &Host, name: &str) -> String {
    let found = host.homeostat(&["image", "inspect", name]).expect_code(0).json();
    found[0]["id"].as_str().unwrap().to_owned()
}

/// Runs an image here; what it prints.
fn output_here(host: &Host, image: &str) -> String {
    let spec = format!("[container.main]\nimage = \"{image}\"\nrestart = \"no\"\nstate = \"exited\"\n");
    host.write("app.toml", &spec);
    host.apply().expect_code(0);
    let output = host.homeostat(&["logs", "app"]).expect_code(0).stdout;
    host.remove("app.toml");
    host.homeostat(&["apply", "--allow-empty", host.source().to_str().unwrap()]).expect_code(0);
    output.lines().last().unwrap_or_default().to_owned()
}

fn there_and_back(host: &Host, peer: &Peer<'_>) {
    build(host);
    let (archive, theirs) = (path(host, "ours.tar"), path(host, "theirs.tar"));
    host.homeostat(&["image", "save", "acme/app:1", "--file", &archive]).expect_code(0);
    peer.docker(&["load", "--input", &archive]);
    assert_eq!(peer.output("acme/app:1").trim(), SAYING, "{}", peer.name);
    // The id is that of the configuration, everywhere.
    let inspected = peer.docker(&["image", "inspect", "--format={{.Id}}", "acme/app:1"]);
    assert_eq!(format!("sha256:{}", inspected.trim().trim_start_matches("sha256:")), id(host, "acme/app:1"));
    let made = host.homeostat(&["image", "rm", "acme/app:1"]).expect_code(0);
    assert!(made.stdout.contains("deleted"), "{}", made.stdout);
    peer.docker(&["tag", "acme/app:1", "acme/app:2"]);
    peer.docker(&["save", "--output", &theirs, "acme/app:2"]);
    let loaded = host.homeostat(&["image", "load", "--file", &theirs]).expect_code(0).stdout;
    assert!(loaded.contains("docker.io/acme/app:2"), "{}: {loaded}", peer.name);
    assert_eq!(output_here(host, "acme/app:2"), SAYING, "{}", peer.name);
}

fn with_docker(release: &Release) {
    let host = Host::new();
    let daemon = Docker::start_of(release, &host.path("peer"));
    there_and_back(&host, &Peer { name: "docker", socket: daemon.socket() });
}

fn with_podman(release: &Release) {
    let host = Host::new();
    let daemon = Podman::start_of(release, &host.path("peer"));
    let peer = Peer { name: "podman", socket: daemon.socket() };
    there_and_back(&host, &peer);
    // Podman's own client knows the other archive too.
    let podman = |arguments: &[&str]| {
        let url = format!("unix://{}", peer.socket.display());
        run("podman", &[&["--url", &url], arguments].concat())
    };
    let (archive, theirs) = (path(&host, "ours.oci.tar"), path(&host, "theirs.oci.tar"));
    host.homeostat(&["image", "tag", "acme/app:2", "acme/app:3"]).expect_code(0);
    let save = ["image", "save", "acme/app:3", "--format", "oci-archive", "--file", &archive];
    host.homeostat(&save).expect_code(0);
    podman(&["load", "--input", &archive]);
    assert_eq!(peer.output("docker.io/acme/app:3").trim(), SAYING);
    host.homeostat(&["image", "rm", "acme/app:2", "acme/app:3"]).expect_code(0);
    podman(&["save", "--format", "oci-archive", "--output", &theirs, "docker.io/acme/app:3"]);
    host.homeostat(&["image", "load", "--file", &theirs]).expect_code(0);
    assert_eq!(output_here(&host, "acme/app:3"), SAYING);
}

#[test]
fn images_go_to_docker_20_and_back() {
    with_docker(&Release::Host);
}

#[test]
fn images_go_to_docker_26_and_back() {
    let Some(release) = Release::trixie() else { return };
    with_docker(&release);
}

#[test]
fn images_go_to_podman_4_and_back() {
    with_podman(&Release::Host);
}

#[test]
fn images_go_to_podman_5_and_back() {
    let Some(release) = Release::trixie() else { return };
    with_podman(&release);
}

#[test]
fn skopeo_reads_the_store_and_both_archives_and_writes_them() {
    let host = Host::new();
    build(&host);
    let skopeo = |arguments: &[&str]| run("skopeo", &[&["--insecure-policy"], arguments].concat());
    let store = format!("oci:{}:acme/app:1", path(&host, "data/image"));
    let inspected = skopeo(&["inspect", &store]);
    assert!(inspected.contains("\"Architecture\""), "{inspected}");
    let copied = format!("docker-archive:{}:acme/app:2", path(&host, "copied.tar"));
    skopeo(&["copy", &store, &copied]);
    host.homeostat(&["image", "load", "--file", &path(&host, "copied.tar")]).expect_code(0);
    assert_eq!(output_here(&host, "acme/app:2"), SAYING);
    // Each archive of ours through skopeo into the other one, and back.
    for (number, (ours, theirs)) in
        [("docker-archive", "oci-archive"), ("oci-archive", "docker-archive")].into_iter().enumerate()
    {
        let (saved, copied) = (path(&host, &format!("{ours}.tar")), path(&host, &format!("to-{theirs}.tar")));
        host.homeostat(&["image", "save", "acme/app:1", "--format", ours, "--file", &saved]).expect_code(0);
        let name = format!("acme/other:{number}");
        skopeo(&["copy", &format!("{ours}:{saved}"), &format!("{theirs}:{copied}:{name}")]);
        let loaded = host.homeostat(&["image", "load", "--file", &copied]).expect_code(0).stdout;
        assert!(loaded.contains(&name), "{loaded}");
        assert_eq!(output_here(&host, &name), SAYING);
    }
}

#[test]
fn an_archive_goes_through_pipes_and_what_is_wrong_is_told() {
    use std::io::Write as _;
    use std::process::Stdio;
    let host = Host::new();
    build(&host);
    let agent = host.agent();
    agent.wait_converged();
    let saved = host.command().args(["image", "save", "acme/app:1"]).output().unwrap();
    assert!(saved.status.success());
    let load = |archive: &[u8]| {
        let mut child = host
            .command()
            .args(["image", "load", "-o", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(archive).unwrap();
        homeostat_e2e::Outcome::from(child.wait_with_output().unwrap())
    };
    host.homeostat(&["image", "rm", "acme/app:1"]).expect_code(0);
    let loaded = load(&saved.stdout).expect_code(0).json();
    assert_eq!(loaded[0]["references"][0], "docker.io/acme/app:1");
    let cut = load(&saved.stdout[..saved.stdout.len() / 2]).expect_code(2);
    assert!(cut.stderr.contains("the archive cannot be loaded"), "{}", cut.stderr);
    // What is not understood from its first byte on is taken in to its end all the same.
    let wrong = load(&vec![b'x'; 3_000_000]).expect_code(2);
    assert!(wrong.stderr.contains("a header is damaged"), "{}", wrong.stderr);
    let missing =
        host.homeostat(&["image", "save", "nothing", "--file", &path(&host, "x.tar")]).expect_code(2);
    assert!(missing.stderr.contains("there is no image nothing"), "{}", missing.stderr);
    assert!(!host.path("x.tar").exists());
    // A blob that is damaged is found while the archive is on its way.
    let blobs = host.path("data/image/blobs/sha256");
    let largest = fs_err::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| fs_err::metadata(path).unwrap().len()).unwrap();
    let mut content = fs_err::read(&largest).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs_err::write(&largest, content).unwrap();
    let damaged =
        host.homeostat(&["image", "save", "acme/app:1", "--file", &path(&host, "x.tar")]).expect_code(2);
    assert!(damaged.stderr.contains("is damaged"), "{}", damaged.stderr);
    assert!(!host.path("x.tar").exists());
}

#[test]
fn docker_and_podman_handle_images_by_the_same_commands() {
    for host in [Host::with_docker as fn() -> Host, Host::with_podman] {
        // Each on a thread of its own: a network namespace is a thread's.
        std::thread::spawn(move || by_hand(&host())).join().unwrap();
    }
}

fn by_hand(host: &Host) {
    let registry = homeostat_daemons::Registry::start(&host.path("registry"));
    build(host);
    let image = |arguments: &[&str]| host.homeostat(&[&["image"], arguments].concat());
    let target = format!("{}/acme/app:1", registry.address());
    image(&["tag", "acme/app:1", &target]).expect_code(0);
    let pushed = image(&["push", &target, "-o", "json"]).expect_code(0).json();
    assert!(pushed["digest"].as_str().unwrap().starts_with("sha256:"), "{pushed}");
    let found = image(&["inspect", &target]).expect_code(0).json();
    assert_eq!(found[0]["config"]["Cmd"][0], "cat");
    let archive = path(host, "archive.tar");
    image(&["save", &target, "--file", &archive]).expect_code(0);
    let refused = image(&["save", &target, "--format", "oci-archive", "--file", &archive]).expect_code(2);
    assert!(refused.stderr.contains("Docker's archive only"), "{}", refused.stderr);
    image(&["rm", "acme/app:1"]).expect_code(0);
    let removed = image(&["rm", &target]).expect_code(0).stdout;
    assert!(removed.contains("deleted"), "{removed}");
    let loaded = image(&["load", "--file", &archive]).expect_code(0).stdout;
    assert!(loaded.contains(&target), "{loaded}");
    image(&["rm", &target]).expect_code(0);
    image(&["pull", &target]).expect_code(0);
    let listed = image(&["ls", "-o", "json"]).expect_code(0).json();
    assert!(listed.to_string().contains(&target), "{listed}");
    let steps = image(&["history", &target, "-o", "json"]).expect_code(0).json();
    assert!(steps.as_array().unwrap().len() >= 3, "{steps}");
    let gone = image(&["rm", "nothing:1"]).expect_code(2);
    assert!(gone.stderr.contains("nothing:1"), "{}", gone.stderr);
}
