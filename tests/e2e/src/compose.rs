//! Docker's Compose, of Debian 13.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Host, Outcome};

/// Where Debian's package puts it.
const PLUGIN: &str = "usr/libexec/docker/cli-plugins/docker-compose";

/// `docker compose` with the host's Docker Engine, for the project in the directory `project` of the host.
pub struct Compose<'a> {
    host: &'a Host,
    program: PathBuf,
}

impl<'a> Compose<'a> {
    /// A project of these files, by name. `None`, with a word on why, where there is no Compose of Debian 13:
    /// `scripts/peers` makes it.
    pub fn project(host: &'a Host, files: &[(&str, &str)]) -> Option<Self> {
        let cache = std::env::var("HOMEOSTAT_PEERS_CACHE");
        let cache = cache.unwrap_or_else(|_| "/var/cache/homeostat-peers".to_owned());
        let program = Path::new(&cache).join("trixie").join(PLUGIN);
        if !program.exists() {
            eprintln!("skipped: {} is not there, which scripts/peers makes", program.display());
            return None;
        }
        let compose = Self { host, program };
        for (name, content) in files {
            let path = compose.directory().join(name);
            fs_err::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
            fs_err::write(path, content).expect("a file of the project");
        }
        Some(compose)
    }

    /// The directory of the project.
    pub fn directory(&self) -> PathBuf {
        self.host.path("project")
    }

    /// Runs a command of Compose that has to succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        command.arg("--project-name").arg("shop").args(arguments);
        command.current_dir(self.directory()).env("DOCKER_HOST", self.host.docker_host());
        command.env("HOME", self.directory());
        let outcome: Outcome = command.output().expect("Compose can be run").into();
        outcome.expect_code(0).stdout
    }
}
