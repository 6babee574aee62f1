//! What is left of a container whose monitor was killed.

use std::io;

use fs_err as fs;

use crate::RunRequest;
use crate::cgroup::{Cgroup, CgroupError};

/// What is left of a container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemainsError {
    /// Its processes or control groups.
    #[error("cannot end what still runs of the container")]
    Cgroup(#[from] CgroupError),
    /// The runtime's directory.
    #[error("cannot remove the runtime's state of the container")]
    State(#[from] io::Error),
}

/// Kills every process of a container and removes its control groups and the runtime's state.
///
/// For a container whose monitor was killed or that ran when power was cut. The kernel ends a container's first process with its
/// monitor, and with that all others of its pid namespace, so mostly nothing runs any more; a set-user-ID program
/// as first process escapes that, but not this. What is not there is no error. The files of the request's own
/// directory stay.
///
/// # Assumptions
/// No monitor of this container lives, or it is the caller.
///
/// # Errors
/// A process that hangs in the kernel, or a control group that another process uses.
pub fn remove(request: &RunRequest) -> Result<(), RemainsError> {
    let cgroup = Cgroup::at(&request.cgroup)?;
    if cgroup.exists() {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    remove_state(&request.runtime_dir.join(&request.id))
}

pub(crate) fn remove_state(directory: &std::path::Path) -> Result<(), RemainsError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
