//! A thread whose mounts nobody else sees.

use std::io;

use nix::sched::CloneFlags;
use rustix::mount::MountPropagationFlags;

use crate::BuildError;

/// Runs `work` on a thread with a mount namespace of its own.
///
/// Mounts of the host that go away meanwhile go away there too (the tree is a slave), so that a long build keeps no
/// container's file system busy; nothing goes the other way.
pub(crate) fn isolated<T: Send>(
    work: impl FnOnce() -> Result<T, BuildError> + Send,
) -> Result<T, BuildError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("build".to_owned())
            .spawn_scoped(scope, || {
                leave_mount_namespace().map_err(BuildError::Isolation)?;
                work()
            })
            .map_err(BuildError::Isolation)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn leave_mount_namespace() -> io::Result<()> {
    // Only a thread that shares its root and working directory with no other may have its own mounts.
    nix::sched::unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}
