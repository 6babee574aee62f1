//! A thread whose mounts nobody else sees.

use std::io;

use nix::sched::CloneFlags;
use rustix::mount::MountPropagationFlags;

/// Gives the calling thread a mount namespace of its own, until it ends.
///
/// Mounts of the host that go away meanwhile go away there too (the tree is a slave), so that a long build keeps no
/// container's file system busy; nothing goes the other way.
pub(crate) fn leave_mount_namespace() -> io::Result<()> {
    // Only a thread that shares its root and working directory with no other may have its own mounts.
    nix::sched::unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}
