//! Docker's side: one daemon for all cases.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::case::{self, BASE, Case, Outcome};
use crate::context;

/// Enters the other Debian and becomes its daemon.
const WORLD: &str = include_str!("docker.sh");

/// How long the daemon may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Debian 13 with Docker 26.1 and buildx, where `scripts/peers` makes it.
fn root() -> PathBuf {
    let cache = std::env::var_os("HOMEOSTAT_PEERS_CACHE").map_or_else(|| PathBuf::from(CACHE), PathBuf::from);
    let root = cache.join("trixie");
    assert!(
        root.join("usr/sbin/dockerd").exists(),
        "there is no Docker in {}: run scripts/setup test",
        root.display()
    );
    root
}

/// Where that is, unless the environment says otherwise.
const CACHE: &str = "/var/cache/homeostat-peers";

/// Docker Engine, until it is dropped.
pub(crate) struct Docker {
    world: Child,
    daemon: u32,
    work: PathBuf,
    group: String,
}

impl Docker {
    /// Starts one that keeps what it needs in `work`, and sees `shared`.
    pub(crate) fn start(work: &Path, shared: &Path) -> Self {
        fs_err::create_dir(work).unwrap();
        fs_err::write(work.join("daemon.json"), "{}").unwrap();
        let group = format!("homeostat-oracle-{}", std::process::id());
        let log = fs_err::File::create(work.join("log")).unwrap().into_parts().0;
        let world = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-c", WORLD, "docker.sh"])
            .arg(root())
            .arg(shared)
            .arg(work)
            .arg(&group)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut docker = Self { world, daemon: 0, work: work.to_owned(), group };
        docker.wait();
        docker.make_base();
        docker
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.daemon = child(self.world.id()).unwrap_or(0);
            if self.daemon != 0 && self.command(&["docker", "version"]).output().unwrap().status.success() {
                return;
            }
            let log = fs_err::read_to_string(self.work.join("log")).unwrap();
            assert!(Instant::now() < deadline, "Docker does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn make_base(&self) {
        let directory = self.work.join("base");
        context::write_base(&directory);
        self.run_build(&directory, &directory.join("Dockerfile"), BASE, &[]).unwrap();
    }

    /// Builds a case whose context is in `directory`.
    pub(crate) fn build(&self, directory: &Path, tag: &str, case: &Case) -> Outcome {
        let mut options = Vec::new();
        for (name, value) in &case.args {
            options.extend(["--build-arg".to_owned(), format!("{name}={value}")]);
        }
        options.extend(case.target.iter().flat_map(|target| ["--target".to_owned(), target.clone()]));
        if case.parent.is_some() {
            let parent = case::parent_tag(tag);
            self.run_build(directory, &directory.join("Dockerfile.parent"), &parent, &[])?;
        }
        self.run_build(directory, &directory.join("Dockerfile"), tag, &options)
    }

    fn run_build(&self, context: &Path, file: &Path, tag: &str, options: &[String]) -> Outcome {
        let output = self
            .command(&["docker", "buildx", "build", "--quiet", "--provenance=false", "--tag", tag])
            .args(options)
            .arg("--file")
            .arg(file)
            .arg(context)
            .output()
            .unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Unpacks images as `docker save` gives them, and says where.
    pub(crate) fn save(&self, tags: &[String]) -> PathBuf {
        let place = self.work.join("saved");
        fs_err::create_dir(&place).unwrap();
        if tags.is_empty() {
            fs_err::write(place.join("manifest.json"), "[]").unwrap();
            return place;
        }
        let mut saving = self.command(&["docker", "save"]).args(tags).stdout(Stdio::piped()).spawn().unwrap();
        let mut archive = tar::Archive::new(saving.stdout.take().unwrap());
        archive.unpack(&place).unwrap();
        // Padding after the archive's end.
        std::io::copy(&mut archive.into_inner().by_ref(), &mut std::io::sink()).unwrap();
        assert!(saving.wait().unwrap().success());
        place
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--target", &self.daemon.to_string()]);
        command.args(["env", &format!("HOME={}", self.work.display()), "DOCKER_BUILDKIT=1"]).args(words);
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Its processes are in a namespace of their own, and end with the first of them.
        let _ = self.world.kill();
        let _ = self.world.wait();
        remove_groups(&self.group);
    }
}

fn child(process: u32) -> Option<u32> {
    let children = fs_err::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Removes the control groups that containers had, which may take a moment to end.
fn remove_groups(name: &str) {
    let script = "for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        for round in $(seq 100); do
            [ -d \"$hierarchy/$1\" ] || break
            find \"$hierarchy/$1\" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
        done
    done";
    let _ = Command::new("bash").args(["-c", script, "bash", name]).status();
}
