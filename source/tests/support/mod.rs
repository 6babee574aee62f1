//! What the tests of both sources use.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{Snapshot, Source};
use homeostat_source::{Credentials, GitConfig, GitSource};
use homeostat_spec::SourcePath;
use tempfile::TempDir;

/// Bounds every wait: long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The paths of a snapshot's specs.
pub fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.specs.iter().map(|spec| spec.path.as_str()).collect()
}

/// The text of one spec.
pub fn content(snapshot: &Snapshot, path: &str) -> String {
    let spec = snapshot.specs.iter().find(|spec| spec.path == path).expect("the spec is there");
    String::from_utf8_lossy(&spec.content).into_owned()
}

/// What the tree says about a path that is there.
pub fn source_path(snapshot: &Snapshot, path: &str) -> SourcePath {
    let entry = snapshot.tree.entry(path).expect("the path can be used").expect("the path is there");
    SourcePath { path: path.to_owned(), digest: entry.digest }
}

/// Exports to a new place in a directory.
pub async fn export(
    source: &dyn Source,
    snapshot: &Snapshot,
    path: &str,
    directory: &Path,
) -> Result<PathBuf, PortError> {
    let destination = directory.join("exported");
    source.export(snapshot, &source_path(snapshot, path), &destination).await?;
    Ok(destination)
}

/// The names in a directory, hidden ones included.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A repository with a worktree, made with the git program, and a place for a mirror.
pub struct Repository {
    pub directory: TempDir,
}

impl Repository {
    /// A bare repository `remote.git`, empty, and a worktree `work` that pushes to it.
    pub fn new() -> Self {
        let repository = Self { directory: TempDir::new().unwrap() };
        run(repository.directory.path(), &["init", "--quiet", "--bare", "-b", "main", "remote.git"]);
        run(repository.directory.path(), &["init", "--quiet", "-b", "main", "work"]);
        repository.git(&["remote", "add", "origin", "../remote.git"]);
        repository
    }

    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    pub fn remote(&self) -> PathBuf {
        self.directory.path().join("remote.git")
    }

    pub fn mirror(&self) -> PathBuf {
        self.directory.path().join("mirror")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.remote().display())
    }

    /// Runs git in the worktree and gives what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(&self.work(), arguments)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits everything, pushes, and gives the commit.
    pub fn push(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "change"]);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes a commit of a tree given in the format of `git mktree`.
    pub fn push_tree(&self, listing: &str) -> String {
        let tree = input(&self.work(), &["mktree", "--missing"], listing);
        self.push_tree_id(&tree)
    }

    pub fn push_tree_id(&self, tree: &str) -> String {
        let commit = self.git(&["commit-tree", tree, "-m", "by hand"]);
        self.git(&["push", "--quiet", "--force", "origin", &format!("{commit}:refs/heads/main")]);
        commit
    }

    pub fn blob(&self, content: &str) -> String {
        input(&self.work(), &["hash-object", "-w", "--stdin"], content)
    }

    /// A tree object of just these bytes, however wrong.
    pub fn raw_tree(&self, bytes: &[u8]) -> String {
        feed(&self.work(), &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], bytes)
    }

    pub fn config(&self) -> GitConfig {
        GitConfig {
            url: self.url(),
            branch: None,
            path: None,
            interval: Duration::from_mins(1),
            mirror_directory: self.mirror(),
            credentials: Credentials::default(),
        }
    }

    pub fn source(&self) -> GitSource {
        GitSource::new(self.config()).unwrap()
    }
}

fn run(directory: &Path, arguments: &[&str]) -> String {
    feed(directory, arguments, b"")
}

fn input(directory: &Path, arguments: &[&str], text: &str) -> String {
    feed(directory, arguments, text.as_bytes())
}

fn feed(directory: &Path, arguments: &[&str], bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is installed");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
