//! What a build needs from others.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use homeostat_dockerfile::Repository;
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{ProgressStep, Secret};

use jiff::Timestamp;

use crate::Cancel;

/// Runs the commands of `RUN`.
pub trait StepRunner: Send + Sync {
    /// Runs the command to its end with the root directory of the step, handing out each line that it prints, and gives
    /// its exit code; that of a command killed by a signal is 128 and the signal's number. When it is cancelled it ends the
    /// command, and what it gives is of no consequence.
    ///
    /// # Assumptions
    /// It is called on the thread of a stage, whose mount namespace holds [`RunStep::rootfs`]: a process that is to
    /// see it must be a child of that very thread, or be given it by descriptor.
    ///
    /// # Guarantees that it must give
    /// When it returns, no process of the step runs any more, and nothing that it mounted is left. It may mount over
    /// directories and files of the root, and may create those that are missing for it (`/proc`, `/sys`, `/dev`,
    /// `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`): the build takes those stubs out of the layer if they are
    /// still empty. It writes nothing else to the root.
    ///
    /// # Errors
    /// When the command cannot be started; an exit code other than 0 is no error here.
    fn run(
        &self,
        step: &RunStep,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &str),
    ) -> Result<i32, RunError>;
}

/// Gets what `ADD` names by an address.
pub trait Fetcher: Send + Sync {
    /// Writes what a URL gives to an empty file, and says when it was changed last, if the server does.
    ///
    /// # Errors
    /// When it cannot be had, when it has more than `room` bytes, and when it is cancelled.
    fn download(
        &self,
        url: &str,
        file: &mut File,
        room: u64,
        cancel: &Cancel,
    ) -> Result<Option<Timestamp>, PortError>;

    /// The hash of the commit that the reference of a repository names now.
    ///
    /// # Errors
    /// When the repository cannot be asked, has no such reference, and when it is cancelled.
    fn commit(&self, repository: Repository<'_>, cancel: &Cancel) -> Result<String, PortError>;

    /// Writes the directory of a repository to `destination`, which is made, and says of which commit it is. `place` is
    /// an empty directory for what is needed meanwhile, in which the destination is.
    ///
    /// # Errors
    /// When the repository cannot be fetched, has no such reference or directory, and when it is cancelled.
    fn check_out(
        &self,
        repository: Repository<'_>,
        place: &Path,
        destination: &Path,
        cancel: &Cancel,
    ) -> Result<String, PortError>;
}

/// Why a command could not be started.
pub type RunError = Box<dyn std::error::Error + Send + Sync>;

/// One `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// The root directory: the layers so far, mounted, changes going to the layer that is being made.
    pub rootfs: PathBuf,
    /// Program and arguments. A program without `/` is to be searched in the `PATH` of `env`.
    pub args: Vec<String>,
    /// All of the environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The working directory inside the root, which exists.
    pub cwd: String,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// More groups of the user.
    pub groups: Vec<u32>,
    /// Whether it has the network.
    pub network: bool,
    /// What is mounted beside the usual, in this order.
    pub mounts: Vec<StepMount>,
    /// More variables, which stand in no file of this host.
    pub secrets: BTreeMap<String, Secret>,
}

/// A mount of a `RUN`. Its target is made where it is missing, and taken away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMount {
    /// A directory, file or socket of this host, as the thread of the stage sees it.
    pub source: PathBuf,
    /// Absolute path in the root.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Is told how a build goes on, by several threads at a time. Never fails and never blocks.
pub trait Reporter: Send + Sync {
    /// A step began.
    fn step(&self, step: &ProgressStep);
    /// The result of the step with this number was taken from the cache.
    fn cached(&self, step: usize);
    /// The cache did not know the step with this number, and why: it is done.
    fn missed(&self, step: usize, cause: &str);
    /// The step with this number printed a line.
    fn output(&self, step: usize, stream: Stream, line: &str);
    /// Something is worth knowing, but builds all the same.
    fn warning(&self, message: &str);
}
